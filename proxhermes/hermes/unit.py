"""The native runtime's own files: its systemd unit, and the script that runs a command as the agent. Pure.

What the unit closes was tried in an unprivileged container with the agent's own tools; what it leaves open, and why, is
in docs/native.md.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from proxhermes.hermes import layout, managed
from proxhermes.inventory import guest, stopping
from proxhermes.inventory.models import Agent
from proxhermes.inventory.mounts import inside
from proxhermes.inventory.runtime import NativeRuntime

FOLDER: Final = "/etc/systemd/system"
AS_AGENT: Final = "as-agent"
MARK: Final = "Written by proxhermes"
RESTART_CODE: Final = 75
"""The gateway asks with it to be started again (Hermes 0.19: gateway/restart.py)."""
USELESS_CODE: Final = 78
"""The gateway says with it that its configuration will not do, however often it is started (same file)."""
_STARTS: Final = 20
_SHORT_LIFE_S: Final = 15
_HOMES: Final = ("/home", "/root", "/run/user")
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HARDENING: Final = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
"""


def quote(word: str) -> str:
    """A word of a unit's command line: no specifier, no variable, nothing split (systemd.service: command lines)."""
    return _quoted(word.replace("$", "$$"))


def assignment(name: str, value: str) -> str:
    """A word of `Environment=`, where `$` means nothing (systemd.exec)."""
    return _quoted(f"{name}={value}")


def path(value: str) -> str:
    """A path, alone or in a list of them. It has no blank, quote or backslash in it; the inventory takes none."""
    return value.replace("%", "%%")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[^A-Za-z0-9_@%+=:,./$-]", text) or not text else escaped


def environment(agent: Agent) -> dict[str, str]:
    """What the service, and whoever runs `hermes` beside it, has in its environment. No secrets: those are in .env."""
    place = layout.of(agent)
    code = f"{place.project}/current/bin"
    return {
        "HOME": place.user_home,
        "HERMES_HOME": place.home,
        "HERMES_HOME_MODE": layout.HOME_MODE,
        # The code is root's. What Hermes would install into it when it is first needed goes to the agent's own home.
        "HERMES_DISABLE_LAZY_INSTALLS": "1",
        "HERMES_LAZY_INSTALL_TARGET": f"{place.home}/lazy-packages",
        "LANG": "C.UTF-8",
        # The agent's own Python comes last: what the agent installs is not meant for it.
        "PATH": f"{place.user_home}/.local/bin:{_SYSTEM_PATH}:{code}",
        **managed.environment(agent),
        **guest.service_variables(agent.guest, agent.hermes.environment),
    }


def render(agent: Agent) -> str:
    """The unit."""
    runtime = native(agent)
    command = [f"{layout.of(agent).project}/current/bin/hermes", "gateway", "run", *runtime.extra_args]
    lines = "".join(f"Environment={assignment(name, value)}\n" for name, value in environment(agent).items())
    writable = writable_paths(agent)
    return f"""\
# {MARK}: changes here are lost. Put yours into {layout.UNIT}.d/*.conf beside it.
[Unit]
Description=Hermes Agent
After=network-online.target
Wants=network-online.target
# An agent that does not live longer than {_SHORT_LIFE_S} s for {_STARTS} times is left lying, and seen as failed.
StartLimitIntervalSec={_STARTS * (runtime.restart_sec + _SHORT_LIFE_S)}
StartLimitBurst={_STARTS}

[Service]
Type=exec
User={runtime.user}
Group={runtime.group}
UMask=0027
WorkingDirectory={path(layout.working_directory(agent))}
{lines}ExecStart={" ".join(quote(word) for word in command)}
Restart={runtime.restart}
RestartSec={runtime.restart_sec}
RestartForceExitStatus={RESTART_CODE}
RestartPreventExitStatus={USELESS_CODE}
# To the gateway this is a stop that is meant, which it ends with code 0; SIGTERM would be an accident, and code 1.
KillSignal=SIGINT
KillMode=mixed
TimeoutStopSec={stopping.gateway(agent)}

ReadWritePaths={" ".join(path(each) for each in writable)}
ProtectHome={_protect_home(agent, writable)}
{_HARDENING}
[Install]
WantedBy=multi-user.target
"""


def writable_paths(agent: Agent) -> tuple[str, ...]:
    """The folders outside of which the service may write nothing but its own /tmp."""
    place = layout.of(agent)
    mounts = (mount.guest for mount in agent.mounts if not mount.read_only)
    wanted = dict.fromkeys((native(agent).state_dir, place.home, place.user_home, place.workspace, *mounts))
    wanted |= dict.fromkeys((layout.working_directory(agent),))
    read_only = {mount.guest for mount in agent.mounts if mount.read_only}
    outer = (each for each in wanted if not any(each != other and inside(each, other) for other in wanted))
    return tuple(each for each in outer if each not in read_only)


def as_agent(agent: Agent) -> str:
    """A script that runs a command as the agent, with the service's environment, whoever calls it."""
    uid, gid = agent.hermes.uid, agent.hermes.gid
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment(agent).items())
    return f"""\
#!/bin/sh
# {MARK}: runs a command as the agent, with its service's environment: {AS_AGENT} COMMAND [ARGUMENT...]
# Root becomes the agent. Everybody else needs to be allowed to by sudo, for the agent's files are its own.
set -eu
me=$(id -u)
if [ "$me" = 0 ]; then
  exec setpriv --reuid {uid} --regid {gid} --init-groups --reset-env -- "$0" "$@"
elif [ "$me" != {uid} ]; then
  if command -v sudo >/dev/null 2>&1; then exec sudo -u '#{uid}' -- "$0" "$@"; fi
  echo "the agent belongs to the user {native(agent).user}: call this as root, or install sudo and allow $(id -un)" >&2
  exit 77
fi
umask 0027
{exports}if ! [ -r . ] || ! [ -x . ]; then cd {shlex.quote(layout.working_directory(agent))}; fi
exec "$@"
"""


def names(agent: Agent) -> dict[str, str]:
    """What the guest's scripts need to know of the service; nothing for another runtime."""
    runtime = agent.runtime
    if not isinstance(runtime, NativeRuntime):
        return {}
    return {"user": runtime.user, "group": runtime.group, "create_user": "yes" if runtime.create_user else "no"}


def native(agent: Agent) -> NativeRuntime:
    """The agent's runtime, which is this one. Raises ValueError for another."""
    if not isinstance(agent.runtime, NativeRuntime):
        raise ValueError(f"{agent.runtime.type} has no unit")
    return agent.runtime


def _protect_home(agent: Agent, writable: tuple[str, ...]) -> str:
    """Hide users' homes, unless something of the agent's lies there."""
    paths = (*writable, layout.of(agent).project, *(mount.guest for mount in agent.mounts))
    return "read-only" if any(inside(each, folder) for each in paths for folder in _HOMES) else "yes"
