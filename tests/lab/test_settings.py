"""config.yaml on a real agent: three-way merges, what Hermes reads of them, and what stops before anything is done."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.hermes import config
from proxhermes.lab.node.lab import Lab

VMID = 171
HOME = "/opt/hermes/data"
SCENARIOS = runpy.run_path(str(Path(__file__).parents[1] / "unit" / "hermes" / "test_settings.py"))["SCENARIOS"]
LOAD = """\
import json, sys
from hermes_cli.env_loader import load_hermes_dotenv
load_hermes_dotenv()
from hermes_cli.config import load_config
print(json.dumps(load_config()))
"""


@pytest.fixture(scope="module")
def settled(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose agent runs; what the tests say of it, they say of this one."""
    someone = Operator(lab, tmp_path_factory.mktemp("settled"))
    declare(someone)
    someone.run("up", "--no-verify")
    yield someone
    declare(someone)
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def declare(operator: Operator, **hermes: Any) -> None:
    operator.write(lambda document: agent(document, VMID, **WITH_DOCKER, messaging={}, hermes=hermes))


guest = partial(Operator.guest, vmid=VMID)


def changes(operator: Operator, *, said: str = "") -> list[str]:
    done = operator.run("bootstrap", "--json")
    assert said in done.stderr
    (result,) = json.loads(done.stdout)["agents"]
    return [change["subject"] for change in result["changes"]]


def read_by_hermes(operator: Operator, options: str = "") -> Any:
    """The settings as the agent's own code reads them, its defaults and variables put in."""
    python = f"docker exec -u hermes {options} hermes /opt/hermes/.venv/bin/python"
    return json.loads(guest(operator, f"{python} -c '{LOAD}'"))


def test_what_is_declared_is_what_hermes_reads(settled: Operator) -> None:
    (settled.folder / "base.yaml").write_text("agent: {max_turns: 7, api_max_retries: 1}\nskills: {disabled: [x]}\n")
    declare(
        settled,
        settings_files=["base.yaml"],
        settings={"agent": {"max_turns": 61}, "custom": {"deep": [1, "off", None, {"key": "${MY_WORD}"}]}},
        terminal={"timeout": 77, "env_passthrough": ["MY_WORD"]},
        environment={"MY_WORD": "it's #1: $5"},
    )
    found = changes(settled)
    assert {"config.yaml: agent.max_turns", "config.yaml: terminal.timeout", ".env: MY_WORD"} <= set(found)
    tree = read_by_hermes(settled)
    assert (tree["agent"]["max_turns"], tree["agent"]["api_max_retries"]) == (61, 1)
    assert tree["skills"]["disabled"] == ["x"]
    assert tree["custom"]["deep"] == [1, "off", None, {"key": "it's #1: $5"}]
    assert (tree["terminal"]["timeout"], tree["terminal"]["env_passthrough"]) == (77, ["MY_WORD"])
    assert tree["terminal"]["cwd"] == "/data"
    assert changes(settled) == []


def test_what_leaves_the_inventory_goes_unless_the_agent_changed_it(settled: Operator) -> None:
    edit = f"cd {HOME}; sed -i 's/api_max_retries: 1.*/api_max_retries: 4  # slow line/' config.yaml"
    guest(settled, f"{edit}; printf '# by hand\\nmine: true\\n' >> config.yaml")
    declare(settled)
    found = changes(settled, said="agent.api_max_retries is no longer in the inventory, but was changed since")
    assert {"config.yaml: agent.max_turns", "config.yaml: skills.disabled", "config.yaml: custom.deep"} <= set(found)
    text = guest(settled, f"cat {HOME}/config.yaml")
    tree = config.parse(text)
    assert tree["agent"] == {"api_max_retries": 4}
    assert "# slow line" in text
    assert "# by hand\nmine: true\n" in text
    assert not {"skills", "custom"} & tree.keys()
    assert changes(settled) == []


def test_the_default_folder_follows_the_mounts(settled: Operator) -> None:
    def moved(document: Any) -> None:
        mounts = [{"host": f"/mnt/pve/hdd/agent-{VMID}", "guest": "/work-here"}]
        agent(document, VMID, **WITH_DOCKER, messaging={}, hermes={}, mounts=mounts)

    settled.write(moved)
    settled.run("up", "--no-verify")
    assert read_by_hermes(settled)["terminal"]["cwd"] == "/work-here"
    declare(settled)
    settled.run("up", "--no-verify")
    assert read_by_hermes(settled)["terminal"]["cwd"] == "/data"


@pytest.mark.parametrize("name", SCENARIOS)
def test_hermes_reads_the_modules_scenarios_as_they_are_meant(settled: Operator, name: str) -> None:
    existing, declared, expected = SCENARIOS[name]
    text = config.update(None if existing is None else config.dump(existing), declared).text
    home = "/tmp/scenario"
    settled.lab.guest(
        VMID,
        ["docker", "exec", "-i", "-u", "hermes", "hermes", "sh", "-c", f"mkdir -p {home}; cat > {home}/config.yaml"],
        stdin=text,
    )
    tree = read_by_hermes(settled, f"-e HERMES_HOME={home} -e HERMES_MANAGED=")
    if isinstance(expected.get("model"), str):  # Hermes may read a model's name as a block
        model = tree.pop("model")
        assert expected["model"] in (model, model.get("default") if isinstance(model, dict) else None)
        expected = {key: value for key, value in expected.items() if key != "model"}
    assert holds(tree, expected)


def holds(tree: Any, expected: Any) -> bool:
    """Whether `tree` has all of `expected`; Hermes adds its defaults."""
    if isinstance(expected, dict):
        return isinstance(tree, dict) and all(key in tree and holds(tree[key], expected[key]) for key in expected)
    return bool(tree == expected)


def test_a_variable_that_nothing_defines_stops_before_anything_is_changed(settled: Operator) -> None:
    before = guest(settled, f"cd {HOME}; sha256sum config.yaml .env; docker inspect -f '{{{{.Id}}}}' hermes")
    declare(settled, settings={"web": {"key": "${NOBODY}"}}, environment={"OTHER": "x"})
    line = settled.inventory.read_text().split("${NOBODY}")[0].count("\n") + 1
    done = settled.run("bootstrap", code=2)
    assert f"inventory.yaml:{line}: web.key: ${{NOBODY}}" in done.stderr
    assert guest(settled, f"cd {HOME}; sha256sum config.yaml .env; docker inspect -f '{{{{.Id}}}}' hermes") == before
    # What somebody put into the container's own .env counts.
    guest(settled, f"echo NOBODY=somebody >> {HOME}/.env")
    changes(settled)
    assert read_by_hermes(settled)["web"]["key"] == "somebody"
    declare(settled)
    changes(settled)


def test_nor_is_a_container_made_for_it(settled: Operator) -> None:
    settled.write(lambda document: agent(document, 172, hermes={"settings": {"web": {"key": "${NOBODY}"}}}))
    assert "web.key: ${NOBODY}" in settled.run("up", code=2).stderr
    declare(settled)
    assert settled.lab.run(["pct", "config", "172"], check=False).returncode != 0


def test_a_whole_file_is_put_in_place_as_it_is_and_leaves_again(settled: Operator) -> None:
    rendered = settled.run("render", str(VMID), "config.yaml").stdout
    (settled.folder / "mine.yaml").write_text(f"# all mine\n{rendered}extra: {{of: mine}}\n")
    declare(settled, config_file="mine.yaml")
    assert changes(settled) == ["config.yaml"]
    assert guest(settled, f"cat {HOME}/config.yaml") == (settled.folder / "mine.yaml").read_text()
    assert changes(settled) == []
    declare(settled)
    changes(settled)
    tree = config.parse(guest(settled, f"cat {HOME}/config.yaml"))
    assert "extra" not in tree
    assert tree["_config_version"] == 50
    assert changes(settled) == []


def test_render_says_what_a_run_writes(settled: Operator) -> None:
    for name, remembered in (("config.yaml", "config.yaml"), (".env", "env")):
        there = guest(settled, f"cat {HOME}/{name}")
        (settled.folder / "there").write_text(there)
        (settled.folder / "last").write_text(guest(settled, f"cat {HOME}/.proxhermes/{remembered}"))
        merged = settled.run("render", str(VMID), name, "--existing", "there", "--last", "last", "--reveal").stdout
        assert merged == there
        (settled.folder / "there").unlink()  # with secrets in it, and another story looks for such
    assert settled.run("render", str(VMID), "compose.yaml").stdout == guest(settled, "cat /opt/hermes/compose.yaml")


def test_a_broken_file_stops_the_run_with_its_line_and_stays(settled: Operator) -> None:
    guest(settled, f"cp -p {HOME}/config.yaml /root/kept; printf 'a: [1\\n' >> {HOME}/config.yaml")
    broken = guest(settled, f"cat {HOME}/config.yaml")
    declare(settled, settings={"agent": {"max_turns": 3}})
    done = settled.run("bootstrap", code=1)
    assert f"config.yaml, line {broken.count(chr(10))}" in done.stderr
    assert guest(settled, f"cat {HOME}/config.yaml") == broken
    guest(settled, f"cp -p /root/kept {HOME}/config.yaml")
    declare(settled)
    changes(settled)


ODD = {"flag": "y", "list": ["1e5", "n", {"at": "20260820_093237_089e44"}], "N": {"hash": "812e934"}}


def test_texts_that_look_like_something_else_are_texts_to_the_agent(settled: Operator) -> None:
    (settled.folder / "odd.yaml").write_text(json.dumps({"custom": ODD}))  # each in quotes, as the inventory wants it
    declare(settled, settings_files=["odd.yaml"])
    changes(settled)
    assert read_by_hermes(settled)["custom"] == ODD
    assert changes(settled) == []


def test_limits_that_equal_old_defaults_hold_and_what_becomes_of_the_users_own_is_told(settled: Operator) -> None:
    """Hermes brings a file of an older version up to date when it starts, and raises them."""
    limits = {"delegation": {"max_iterations": 50}, "display": {"personality": "kawaii"}}
    declare(settled, settings=limits)
    changes(settled)
    assert read_by_hermes(settled)["delegation"]["max_iterations"] == 50
    older = "s/^_config_version: .*/_config_version: 33/; s/^delegation:/delegation:\\n  max_concurrent_children: 3/"
    guest(settled, f"sed -i '{older}' {HOME}/config.yaml")
    declare(settled, settings=limits | {"agent": {"max_turns": 9}})
    said = settled.run("bootstrap").stderr
    assert "Hermes brought config.yaml up to date, 33 → 50; as it was: config.yaml.bak-" in said
    assert "delegation.max_iterations: 50 → 250 (declared: put back)" in said
    assert "delegation.max_concurrent_children: 3 → 10 (stays as Hermes has it)" in said
    tree = read_by_hermes(settled)
    assert (tree["delegation"]["max_iterations"], tree["display"]["personality"]) == (50, "kawaii")
    assert tree["delegation"]["max_concurrent_children"] == 10
    assert changes(settled) == []


def test_a_key_that_is_there_twice_is_seen_and_mended(settled: Operator) -> None:
    """This Hermes cannot read such a file, and goes on with the last one that it could."""
    declare(settled, settings={"agent": {"max_turns": 9}})
    changes(settled)
    guest(settled, f"printf 'mine: 1\\nmine: 2\\n' >>{HOME}/config.yaml")
    line = int(guest(settled, f"wc -l <{HOME}/config.yaml"))
    (check,) = settled.json("verify", str(VMID), "--only", "hermes.config", code=4)["agents"][0]["checks"]
    assert check["verdict"] == "fail" and f"line {line}" in json.dumps(check)
    assert changes(settled) == ["config.yaml: mine"]
    settled.run("verify", str(VMID), "--only", "hermes.config")
    assert read_by_hermes(settled)["mine"] == 2
    guest(settled, f"sed -i '/^mine:/d' {HOME}/config.yaml")
