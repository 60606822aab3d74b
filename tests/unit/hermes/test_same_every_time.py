"""What is written is the same, byte for byte, whatever order a process happens to keep its sets in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SEEDS = ("0", "1", "2")
"""For PYTHONHASHSEED: by default each process draws its own."""

HERMES = {
    "settings": {"agent": {"max_turns": 9}, "display": {"tool_progress": "off"}},
    "environment": {"ONE": "1", "TWO": "2", "THREE": "3"},
    "terminal": {
        "shell_init_files": ["/data/env.sh"],
        "env_passthrough": ["TWO", "ONE"],
        "timeout": 60,
        "persistent_shell": True,
        "home_mode": "real",
        "auto_source_bashrc": False,
        "backend": "local",
    },
    "mcp_servers": {
        "b": {
            "command": "b",
            "env": {"Y": "1", "X": "2"},
            "sampling": {"enabled": True, "max_rpm": 3, "model": "m"},
            "tools": {"include": ["y", "x"]},
            "timeout": 9,
        },
        "a": {"url": "http://a/mcp", "headers": {"X-B": "1", "X-A": "2"}, "connect_timeout": 5},
    },
}
RUNTIMES = {
    "docker": {
        "type": "docker",
        "network": "bridge",
        "ports": ["127.0.0.1:8642:8642"],
        "extra_volumes": ["/b:/b", "/a:/a"],
        "compose_override": {"cap_add": ["NET_ADMIN", "SYS_PTRACE"]},
    },
    "persistent": {
        "type": "persistent",
        "image": "debian:13",
        "extra_packages": ["tree", "jq"],
    },
    "native": {"type": "native", "package": {"pypi": "hermes-agent==0.19.0"}, "extra_packages": ["tree", "jq"]},
}

SHOW = """
import sys
from proxhermes.cli import main
sys.exit(any([main.run_with(["render", "118", name]) for name in sys.argv[1:]]))
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_file_is_the_same_in_every_process(runtime: str, tmp_path: Path) -> None:
    inventory = {
        "version": 1,
        "nodes": {"pve": {"api": "https://h:8006", "token": "u@pve!tok", "token_secret": {"env": "PVE"}}},
        "litellm": {"base_url": "http://l:4000/v1", "api_key": {"env": "LITELLM_API_KEY"}, "model": "m"},
        "agents": {
            118: {
                "node": "pve",
                "hostname": "hermes",
                "network": {"bridge": "vmbr0"},
                "hermes": HERMES,
                "runtime": RUNTIMES[runtime],
            }
        },
    }
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(inventory, sort_keys=False))
    files = ("config.yaml", ".env", "unit" if runtime == "native" else "compose.yaml")
    shown = set()
    for seed in SEEDS:
        done = subprocess.run(
            [sys.executable, "-c", SHOW, *files],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        shown.add(done.stdout)
    assert len(shown) == 1
    assert "shell_init_files" in done.stdout and "THREE" in done.stdout
