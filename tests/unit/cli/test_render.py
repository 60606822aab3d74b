"""`render`: offline, the file on stdout, secrets masked unless asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxhermes import upstream
from proxhermes.cli import main
from proxhermes.cli.render import FILES
from proxhermes.hermes import env, rendering

INVENTORY = """\
version: 1
nodes: {pve: {api: "https://h:8006", token: u@pve!tok, token_secret: {env: PVE}}}
litellm: {base_url: "http://l:4000/v1", api_key: {env: LITELLM_KEY}, model: m}
agents:
  118:
    node: pve
    hostname: hermes
    network: {bridge: vmbr0}
    RUNTIME
    hermes:
      environment: {FOO: bar}
      secrets: {EXA_API_KEY: {env: EXA}}
      SETTINGS
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line in a folder with an inventory; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def runner(
        *argv: str, runtime: str = "cores: 2", settings: str = "settings: {agent: {max_turns: 60}}"
    ) -> tuple[int, str, str]:
        text = INVENTORY.replace("RUNTIME", runtime).replace("SETTINGS", settings)
        (tmp_path / "inventory.yaml").write_text(text)
        code = main.run_with(["render", *argv])
        return code, *capsys.readouterr()

    return runner


def test_config_yaml_for_a_new_agent(run: Any) -> None:
    code, out, err = run("118", "config.yaml")
    assert code == 0
    tree = yaml.safe_load(out)
    assert tree["agent"] == {"max_turns": 60}
    assert tree["model"]["api_key"] == "${LITELLM_API_KEY}"
    assert tree["_config_version"] == upstream.RELEASES[-1].config_version
    assert "_config_version is the newest Hermes'; a run asks which one is installed" in err
    assert "context_length comes from LiteLLM" in err


def test_config_yaml_merged_and_remembered(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("# mine\nagent: {max_turns: 5, verbose: true}\nold: 1\nchanged: 3\n")
    (tmp_path / "last").write_text("old: 1\nchanged: 2\n")
    code, out, err = run("118", "config.yaml", "--existing", "there", "--last", "last")
    assert code == 0
    assert out.startswith("# mine\nagent: {max_turns: 60, verbose: true}\nchanged: 3\n")
    assert "_config_version" not in out
    assert "changed is no longer in the inventory, but was changed since: it stays" in err


def test_secrets_in_a_copy_of_the_file_are_masked_unless_asked_for(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("web: {api_key: hunter2, other_key: '${X}'}\n")
    assert "hunter2" not in run("118", "config.yaml", "--existing", "there")[1]
    assert "hunter2" in run("118", "config.yaml", "--existing", "there", "--reveal")[1]


def test_the_masked_merge_is_that_of_the_file(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there").write_text(
        "# api_key: hunter2\nagent: {sort_key: model}\nservers: [{headers: {X-Auth: hunter2}}]\n"
        "discord: {channel_prompts: {123456789012345678: a prompt}}\n"
    )
    (tmp_path / "last").write_text("discord: {channel_prompts: {123456789012345678: changed}}\n")
    code, out, err = run("118", "config.yaml", "--existing", "there", "--last", "last")
    assert code == 0
    assert "hunter2" not in out
    tree = yaml.safe_load(out)
    assert tree["model"]["default"] == "m"
    assert tree["agent"] == {"sort_key": "********", "max_turns": 60}
    assert "discord.channel_prompts.123456789012345678 is no longer in the inventory" in err


@pytest.mark.parametrize("text", ["# only words\n", "{}\n", "---\n"])
def test_a_file_that_says_nothing_gets_its_version(run: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "there").write_text(text)
    version = yaml.safe_load(run("118", "config.yaml", "--existing", "there")[1])["_config_version"]
    assert version == upstream.RELEASES[-1].config_version


def test_of_others_lines_in_env_no_value_is_shown(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there").write_text(
        "FOO=hunter2\nDATABASE_URL=postgres://u:hunter2@h\n# GITHUB_PAT=hunter2\nA=hunter2\n"
    )
    code, out, _ = run("118", ".env", "--existing", "there")
    assert code == 0
    assert "hunter2" not in out
    assert env.values(out)["FOO"] == "bar"
    assert env.values(out)["API_SERVER_ENABLED"] == "true"
    (tmp_path / "last").write_text("A\n")
    assert "\nA=" not in run("118", ".env", "--existing", "there", "--last", "last")[1]


def test_env_is_masked_and_asks_for_no_secret(run: Any) -> None:
    code, out, err = run("118", ".env")
    assert code == 0
    values = env.values(out)
    assert values["FOO"] == "bar"
    assert [values[name] for name in ("EXA_API_KEY", "LITELLM_API_KEY", "API_SERVER_KEY")] == ["********"] * 3
    assert "API_SERVER_KEY is made" in err


def test_env_revealed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("118", ".env", "--reveal")[0] == 2  # not set
    monkeypatch.setenv("LITELLM_KEY", "sk-real-value-1")
    monkeypatch.setenv("EXA", "exa-real-value")
    code, out, _ = run("118", ".env", "--reveal")
    assert code == 0
    values = env.values(out)
    assert (values["LITELLM_API_KEY"], values["EXA_API_KEY"]) == ("sk-real-value-1", "exa-real-value")
    assert "API_SERVER_KEY" not in values


def test_env_merged(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("# mine\nMINE=1\nMY_TOKEN=abcdef\nGONE=1\nGONE_KEY=x\nAPI_SERVER_KEY=old-old-old\n")
    (tmp_path / "last").write_text("GONE\nGONE_KEY\nFOO\n")
    _, out, err = run("118", ".env", "--existing", "there", "--last", "last")
    assert out.startswith("# mine\nMINE=********\nMY_TOKEN=********\nAPI_SERVER_KEY=********\n")
    assert "GONE" not in out
    assert "abcdef" not in out + err
    assert "old-old" not in out + err


def test_compose_yaml_and_unit_are_for_their_runtimes(run: Any) -> None:
    code, out, _ = run("118", "compose.yaml")
    assert code == 0
    assert yaml.safe_load(out)["services"]["hermes"]["container_name"] == "hermes"
    code, out, err = run("118", "unit")
    assert (code, out) == (2, "")
    assert "has no unit: its runtime is docker" in err
    native = "runtime: {type: native}"
    code, out, _ = run("118", "unit", runtime=native)
    assert code == 0
    assert "[Service]" in out
    for name in ("compose.yaml", "daemon.json"):
        code, out, err = run("118", name, runtime=native)
        assert (code, out) == (2, "")
        assert f"has no {name}: its runtime is native" in err


def test_daemon_json_has_the_guests_proxy(run: Any) -> None:
    """As a run writes it."""
    code, out, _ = run("118", "daemon.json", runtime='guest: {http_proxy: "http://10.1.10.1:3128"}')
    assert code == 0
    assert json.loads(out)["proxies"]["https-proxy"] == "http://10.1.10.1:3128"


def test_daemon_json_is_merged(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there").write_text('{"data-root": "/x", "log-driver": "json-file"}')
    code, out, _ = run("118", "daemon.json", "--existing", "there")
    assert code == 0
    assert json.loads(out) == {"data-root": "/x", "log-driver": "local"}
    (tmp_path / "there").write_text('{"proxies": {"http-proxy": "http://u:hunter2@h"}}')
    masked = json.loads(run("118", "daemon.json", "--existing", "there")[1])
    assert masked == {"proxies": {"http-proxy": "http://u:********@h"}, "log-driver": "local"}
    assert "hunter2" in run("118", "daemon.json", "--existing", "there", "--reveal")[1]
    code, _, err = run("118", "daemon.json", runtime="runtime: {engine: podman}")
    assert code == 2
    assert "its engine is podman" in err
    assert "none is written for Podman" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["118", "compose.yaml", "--existing", "there"], "nothing to merge"),
        (["118", "compose.yaml", "--existing", "there"], "→ proxhermes render 118 compose.yaml"),
        (["118", "config.yaml", "--last", "there"], "--last needs --existing FILE (config.yaml or .env only)"),
        (["118", "daemon.json", "--existing", "there", "--last", "there"], "--last needs --existing FILE"),
        (["config.yaml", "118"], "the agent comes first: proxhermes render AGENT config.yaml"),
        (["118", "config.yml"], "did you mean 'config.yaml'?"),
        (["118", "env"], "did you mean '.env'?"),
        (["118", "hermes-agent.service"], "did you mean 'unit'?"),
        (["118", "config.yaml", "--existing", "there"], "there:2: this is not YAML"),
        (["118", "daemon.json", "--existing", "there"], "there:1: this is not JSON"),
        (["118", "config.yaml", "--existing", "binary"], "not text in UTF-8"),
        (["118", "config.yaml", "--existing", "endless"], "Error: endless: aliases"),
        (["118", "nonsense"], "'nonsense' is not one of"),
        (["119", "config.yaml"], "no agent 119"),
    ],
)
def test_what_cannot_be_rendered_says_why(run: Any, tmp_path: Path, argv: list[str], message: str) -> None:
    (tmp_path / "there").write_text("a: [\n")
    (tmp_path / "endless").write_text("a: &a {b: *a}\n")
    (tmp_path / "binary").write_bytes(b"a: \xff\n")
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_what_the_inventory_does_not_define_is_noted(run: Any, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("web: {url: 'http://${WEB_HOST}/${FOO}'}\n")
    code, _, err = run("118", "config.yaml", settings="settings_files: [base.yaml]")
    assert code == 0
    noted = [line for line in err.splitlines() if "does not define" in line]
    assert noted == ["Note: " + f"{tmp_path}/base.yaml:1: web.url: the inventory does not define ${{WEB_HOST}}"]


def test_a_whole_file_is_shown_as_it_is(run: Any, tmp_path: Path) -> None:
    newest = f"_config_version: {upstream.RELEASES[-1].config_version}\n"
    (tmp_path / "mine.yaml").write_text("# all of it\nmodel: {default: m}\n_config_version: 12\n")
    code, out, err = run("118", "config.yaml", settings="config_file: mine.yaml")
    assert (code, out) == (0, f"# all of it\nmodel: {{default: m}}\n{newest}")
    assert "_config_version is the newest Hermes'" in err
    text = f"url: 'https://x/?key=hunter2'\nmcp_servers: {{a: {{headers: {{X-Auth: hunter2}}}}}}\n{newest}"
    (tmp_path / "mine.yaml").write_text(text)
    code, out, _ = run("118", "config.yaml", settings="config_file: mine.yaml")
    assert code == 0
    assert "hunter2" not in out
    assert run("118", "config.yaml", "--reveal", settings="config_file: mine.yaml")[1] == text


def test_the_files_are_those_that_can_be_rendered() -> None:
    assert tuple(rendering.KINDS) == FILES
