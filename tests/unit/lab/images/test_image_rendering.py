from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from proxhermes.lab.images import hermes, litellm, registry
from proxhermes.lab.images.agents import AGENTS, FIRST, NEWEST, Agent
from proxhermes.lab.images.cache import Cache

SHELLCHECK = Path(sys.executable).parent / "shellcheck"


def test_litellm_exposes_its_models_and_holds_no_secret() -> None:
    config = yaml.safe_load(litellm.render_config("http://10.1.10.1:9100/v1"))
    assert [entry["model_name"] for entry in config["model_list"]] == ["claude-sonnet", "gpt-mini"]
    sonnet = config["model_list"][0]
    assert sonnet["model_info"] == {"max_input_tokens": 200_000}
    assert sonnet["litellm_params"]["api_base"] == "http://10.1.10.1:9100/v1"
    assert config["general_settings"] == {"master_key": "os.environ/LITELLM_MASTER_KEY"}
    assert litellm.render_environment("sk-1") == "LITELLM_MASTER_KEY=sk-1\n"


def test_the_registry_keeps_its_images_in_the_cache(tmp_path: Path) -> None:
    service = registry.service(Cache(tmp_path), "10.1.10.1", tmp_path / "etc")
    [(path, text)] = service.files.items()
    assert service.argv[-1] == str(path)
    config = json.loads(text)
    assert config["http"]["addr"] == "10.1.10.1:5000"
    assert config["storage"]["filesystem"]["rootdirectory"] == str(tmp_path / "registry")
    assert service.ready_url == "http://10.1.10.1:5000/v2/"


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.version)
def test_the_images_are_laid_out_as_the_official_ones(agent: Agent) -> None:
    config = agent.run_config(agent.rebuild)
    assert config["Volumes"] == {"/opt/data": {}}
    assert "Cmd" not in config
    assert "Healthcheck" not in config
    assert config["Labels"]["org.opencontainers.image.version"] == f"{agent.version}-2"  # type: ignore[index]
    environment = dict(entry.split("=", 1) for entry in config["Env"])  # type: ignore[attr-defined]
    assert environment["HERMES_HOME"] == "/opt/data"
    assert environment["PATH"].startswith("/opt/hermes/bin:/opt/hermes/.venv/bin:")


def test_each_version_starts_as_the_official_one_of_its_time() -> None:
    assert FIRST.run_config("0.19.0")["Entrypoint"] == ["/init", "/opt/hermes/docker/main-wrapper.sh"]
    newest = NEWEST.run_config("0.22.2")
    assert newest["Entrypoint"] == ["/opt/hermes/docker/entrypoint-dispatch.sh"]
    assert "HERMES_RUNTIME_DIR=/opt/hermes/tools" in newest["Env"]  # type: ignore[operator]


def test_latest_is_the_newest() -> None:
    assert hermes.tags(FIRST) == ("0.19.0", "0.19.0-2")
    assert hermes.tags(NEWEST) == ("latest", "0.22.2", "0.22.2-2")


def test_what_is_not_its_makers_own_is_held_to_a_hash() -> None:
    assert all(agent.sha256 or agent.package == "hermes-agent" for agent in AGENTS)


def test_every_script_of_the_image_exists_and_what_runs_is_executable() -> None:
    shipped = {str(path.relative_to(hermes.SCRIPTS)) for path in hermes.SCRIPTS.rglob("*") if path.is_file()}
    assert shipped == set(hermes.PROGRAMS)
    for name in shipped - {"migrate"}:
        if "/" in name:
            continue
        assert (hermes.SCRIPTS / name).stat().st_mode & 0o111, name


def test_the_scripts_of_the_image_pass_shellcheck() -> None:
    scripts = [path for path in hermes.SCRIPTS.iterdir() if path.is_file() and path.read_text().startswith("#!/bin/sh")]
    done = subprocess.run([SHELLCHECK, *map(str, scripts)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
