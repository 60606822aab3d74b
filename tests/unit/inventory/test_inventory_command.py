"""`proxhermes inventory`: what it prints, and its exit codes."""

from __future__ import annotations

import json

import pytest

from proxhermes.cli.main import run_with


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PROXHERMES_INVENTORY", raising=False)
    monkeypatch.chdir(tmp_path)


def test_check_tells_what_was_read(tmp_path, smallest, capsys):
    (tmp_path / "inventory.yaml").write_text(smallest)
    assert run_with(["inventory", "check"]) == 0
    out, err = capsys.readouterr()
    assert "1 node, 1 agent, no mistake" in out
    assert "hermes@pve!proxhermes; root shell root@192.168.1.10" in out
    assert "/mnt/pve/hdd/hermes -> /data (owner agent)" in out
    assert err == ""


@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_the_inventory_may_be_named_anywhere(tmp_path, smallest, capsys, place):
    path = tmp_path / "other.yaml"
    path.write_text(smallest)
    option = ["-i", str(path)]
    line = {
        "before": [*option, "inventory", "check"],
        "between": ["inventory", *option, "check"],
        "after": ["inventory", "check", *option],
    }
    assert run_with(line[place]) == 0
    assert str(path) in capsys.readouterr().out


def test_check_tells_every_mistake_on_stderr(tmp_path, smallest, capsys):
    (tmp_path / "inventory.yaml").write_text(smallest.replace("118", "18").replace("hostname", "hostnam"))
    assert run_with(["inventory", "check"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "inventory.yaml:12:3: agents.18: `18` is not a VMID" in err
    assert "inventory.yaml:14:5: agents.18.hostnam: unknown key `hostnam`" in err
    assert "did you mean `hostname`?" in err


def test_check_as_json(tmp_path, smallest, capsys):
    path = tmp_path / "inventory.yaml"
    path.write_text(smallest)
    assert run_with(["inventory", "check", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["ok"] is True
    assert read["agents"]["118"]["litellm"]["api_key"]["env"] == "LITELLM_API_KEY"
    path.write_text(smallest.replace("bridge", "brigde"))
    assert run_with(["inventory", "check", "--json"]) == 2
    read = json.loads(capsys.readouterr().out)
    assert read["ok"] is False
    assert {(problem["path"], problem["line"]) for problem in read["problems"]} == {
        ("agents.118.network.bridge", 15),
        ("agents.118.network.brigde", 15),
    }


def test_no_inventory(capsys):
    assert run_with(["inventory", "check"]) == 2
    assert "-i FILE or $PROXHERMES_INVENTORY" in capsys.readouterr().err


def test_warnings_go_to_stderr(tmp_path, smallest, capsys):
    (tmp_path / "inventory.yaml").write_text(smallest.replace("    token:", "    tls: {insecure: true}\n    token:"))
    assert run_with(["inventory", "check"]) == 0
    out, err = capsys.readouterr()
    assert "can read the token" in err
    assert "can read the token" not in out


def test_schema_is_printed(capsys):
    assert run_with(["inventory", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "proxhermes inventory"
