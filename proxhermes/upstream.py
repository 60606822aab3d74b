"""What differs between versions of Hermes Agent: the one table that everything else asks.

A row holds from its version to the next row's. `proven` names the version that this project runs in its tests; a row
without one is assumed, from reading the release notes and the repository. A version that is newer than the table is
treated as its newest row, with a note, and never refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Version = tuple[int, ...]
Reader = Literal["pyyaml", "ruamel"]


PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
"""Variables that name a proxy, the first that is set for all schemes (0.19, 0.22: agent/process_bootstrap.py)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the variables of the environment are read that lead to the model.

    ranges: NO_PROXY may hold ranges (10.0.0.0/8), ports and `*.`; else it is read as urllib does (0.19:
    agent/process_bootstrap.py; 0.22: agent/proxy_bypass.py). authorities: variables that name a file of certificates,
    the first that is set (agent/ssl_verify.py); `ssl_ca_cert` of a provider goes before.
    """

    ranges: bool
    authorities: tuple[str, ...]


_OLD_READING: Final = Reading(False, ("HERMES_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
_READING: Final = Reading(True, ("SSL_CERT_FILE",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What holds from version `since` on.

    config_version: `_config_version` of config.yaml, for where the installed Hermes could not be asked itself.
    config_floor: a config.yaml of a version below it is migrated no more (0.22: hermes_cli/config_migrations.py).
    offline_tools: it has `hermes sessions recover` and `set-journal-mode` (0.22: hermes_cli/subcommands/sessions.py).
    yaml: what reads config.yaml, in YAML 1.1. To PyYAML, `y` and `1e5` are text, and of a key that is there twice the
    last one counts; to ruamel.yaml they are a boolean and a number, and such a file cannot be read.
    unreachable_s: how long a question takes to fail when nothing listens at LiteLLM's address, in seconds.
    python: the versions of Python that it runs on, as pip has them.
    profiles: one gateway serves the profiles, each with the variables of its own .env (0.22: agent/secret_scope.py).
    cron_keeps_model: a cron job without a model of its own keeps to the one that it was made under: it is skipped once
    another one is configured, or is done with the older one (0.19: cron/jobs.py, model_snapshot).
    hidden_servers: names of MCP servers whose tools the agent does not get, for its own toolsets are called so
    (0.19: toolsets.py, get_toolset).
    """

    since: Version
    proven: str = ""
    config_version: int
    yaml: Reader
    unreachable_s: int
    mcp_sdk: Literal[1, 2]
    python: str
    config_floor: int = 12
    offline_tools: bool = True
    profiles: bool = True
    cron_keeps_model: bool = False
    hidden_servers: frozenset[str] = frozenset()
    reading: Reading = _READING


_TOOLSETS: Final = frozenset((
    "web", "search", "x_search", "vision", "video", "image_gen", "video_gen", "computer_use", "terminal", "skills",
    "browser", "cronjob", "file", "tts", "todo", "memory", "context_engine", "session_search", "project", "clarify",
    "code_execution", "delegation", "homeassistant", "kanban", "discord", "discord_admin", "yuanbao", "feishu_doc",
    "feishu_drive", "spotify", "debugging", "safe", "coding",
))  # fmt: skip
RELEASES: Final = (
    Release(
        since=(0, 19),
        proven="0.19.0",
        config_version=33,
        yaml="pyyaml",
        unreachable_s=25,
        mcp_sdk=1,
        python=">=3.11,<3.14",
        config_floor=0,
        offline_tools=False,
        profiles=False,
        cron_keeps_model=True,
        hidden_servers=_TOOLSETS,
        reading=_OLD_READING,
    ),
    # config.yaml: 0.20.5 has 38, 0.20.6 has 39 (github.com/wimpysworld/nix-config, #1013 and #1014). The floor:
    # NousResearch/hermes-agent#74433, between 0.19 and 0.20.
    Release(
        since=(0, 20),
        config_version=39,
        yaml="pyyaml",
        unreachable_s=25,
        mcp_sdk=1,
        python=">=3.11,<3.14",
        offline_tools=False,
        profiles=False,
        cron_keeps_model=True,
        hidden_servers=_TOOLSETS,
        reading=_OLD_READING,
    ),
    # agent.auto_recovery_cycles: after the retries come pauses of 15, 30, 60, 60 and 60 s. config.yaml: 0.21.0 has 39,
    # 0.21.1 has 41, 0.21.3 has 44 (github.com/wimpysworld/nix-config, #1025, #1029 and #1041).
    Release(
        since=(0, 21),
        config_version=39,
        yaml="pyyaml",
        unreachable_s=331,
        mcp_sdk=1,
        python=">=3.11,<3.14",
        offline_tools=False,
        profiles=False,
        cron_keeps_model=True,
        hidden_servers=_TOOLSETS,
        reading=_OLD_READING,
    ),
    # ruamel.yaml in the place of PyYAML (hermes_yaml.py).
    Release(
        since=(0, 22),
        proven="0.22.2",
        config_version=50,
        yaml="ruamel",
        unreachable_s=331,
        mcp_sdk=2,
        python=">=3.14,<3.15",
    ),
    Release(since=(0, 23), config_version=50, yaml="ruamel", unreachable_s=331, mcp_sdk=2, python=">=3.14,<3.15"),
)
NEWEST_SEEN: Final[Version] = (0, 23, 4)
"""The newest release when this table was written (23 November 2026)."""
ORPHANS_WAL: Final = ((0, 21, 0), (0, 21, 2))
"""First and last version in which a second process beside the gateway could orphan its state.db-wal."""

DEFAULT_SOULS: Final = frozenset(
    {
        "2765a846e1bb371d78d3b93b403dfb0f8d1ba1a9895edb5f608367abfe81194d",  # 0.19
        "36c1f5a2e92cd1d018311eaf4c8f1e8886672eae78212e033c681d0e3d5d506f",  # 0.22
    }
)
"""SHA-256 of the SOUL.md that Hermes itself writes where none is (hermes_cli/default_soul.py)."""

SERVING: Final = frozenset({"running", "degraded"})
"""`gateway_state` of a gateway that does its work; `degraded`: not on every platform (0.22: gateway/run_startup.py)."""

_VERSION: Final = re.compile(r"v?(\d{1,4}(?:\.\d{1,4}){1,3})(?!\d)")
_STOP_FLOOR_S: Final = 70
_DRAIN_S: Final = 0
_CRON_DRAIN_S: Final = 30
_LONGEST_DRAIN_S: Final = 86400
"""A day: Hermes itself takes any number, and one without end."""


@dataclass(frozen=True, slots=True)
class Code:
    """The Hermes that is installed, as its own files say. config_version: None where they do not say it."""

    version: str
    config_version: int | None = None

    @property
    def release(self) -> Release:
        return release(self.version)

    @property
    def newest_config(self) -> int:
        """The `_config_version` that it writes itself."""
        return self.config_version or self.release.config_version


def code(told: str) -> Code | None:
    """A Code out of `VERSION CONFIG`, as guest-common.sh tells it; None for anything else."""
    found = re.fullmatch(r"([0-9][0-9A-Za-z.+]{0,39}) ([0-9]{1,6})", told)
    return Code(found[1], int(found[2])) if found else None


def parse(text: str) -> Version | None:
    """The version at the beginning of a text: "0.22.2", "v0.22.2", "0.22.2.post1"; None for anything else.

    So is 0.0.0, which a source without a stamp calls itself (0.22: pyproject.toml).
    """
    found = _VERSION.match(text)
    version = tuple(map(int, found[1].split("."))) if found else ()
    return version if any(version) else None


def release(version: str | None) -> Release:
    """The row for a version; the newest for one that is not known, the oldest for one that is older than all."""
    parsed = parse(version or "")
    if parsed is None:
        return RELEASES[-1]
    return next((row for row in reversed(RELEASES) if row.since <= parsed), RELEASES[0])


def reader(code: Code | None) -> Reader:
    """What this Hermes reads config.yaml with; the newest one's where it is not known which it is."""
    return release(code.version if code else None).yaml


def reader_of(config_version: int) -> Reader:
    """What the Hermes reads with that wrote a config.yaml of this version."""
    return next((row for row in reversed(RELEASES) if row.config_version <= config_version), RELEASES[0]).yaml


def unknown(version: str) -> bool:
    """Whether a version is newer than all that this table was written for."""
    parsed = parse(version)
    return parsed is not None and parsed[:3] > NEWEST_SEEN


def older(version: str) -> bool:
    """Whether a version is older than all that this table was written for."""
    parsed = parse(version)
    return parsed is not None and parsed < RELEASES[0].since


def shown(version: Version) -> str:
    """As people write it."""
    return ".".join(map(str, version))


def orphans_wal(version: str) -> bool:
    """Whether a second process beside the gateway may make it lose messages."""
    first, last = ORPHANS_WAL
    parsed = parse(version)
    return parsed is not None and first <= parsed[:3] <= last


def wal_reset_bug(sqlite: str) -> bool:
    """Whether a version of SQLite may damage a database in WAL mode (https://sqlite.org/wal.html#walresetbug).

    The versions as Hermes has them (0.22: hermes_cli/sqlite_runtime.py).
    """
    version = (*(parse(sqlite) or ()), 0, 0)[:3]
    fixed = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51) or version >= (3, 51, 3)
    return version >= (3, 7) and not fixed


def stop_seconds(settings: Mapping[str, Any]) -> int:
    """How long the gateway may need to end, in seconds: what it waits for running work, and half a minute to close.

    settings: the declared keys of config.yaml. As Hermes computes it (0.22: gateway/restart.py,
    resolve_systemd_timeout_stop_sec), for versions before it, too: a longer time harms none.
    """
    section = settings.get("agent")
    section = section if isinstance(section, Mapping) else {}
    drain = _seconds(section.get("restart_drain_timeout"), _DRAIN_S)
    cron = _seconds(section.get("cron_drain_timeout"), _CRON_DRAIN_S)
    return int(max(_STOP_FLOOR_S, max(drain, cron + 10 if cron else 0) + 30))


def _seconds(value: object, default: float) -> float:
    """A number of seconds as Hermes reads it: text with a number in it, too."""
    try:
        seconds = float(value)  # type: ignore[arg-type]  # what is not a number is the default
    except (TypeError, ValueError):
        return default
    return min(seconds, _LONGEST_DRAIN_S) if seconds >= 0 else default
