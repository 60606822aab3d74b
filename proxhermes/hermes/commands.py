"""The agent's own commands on the guest's PATH: in whatever runtime, always as the agent's user. Pure."""

from __future__ import annotations

import shlex
from typing import Final

from proxhermes.hermes import layout, unit
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import DockerRuntime, NativeRuntime

FOLDER: Final = "/usr/local/bin"
NAMES: Final = ("hermes", "hermes-agent", "hermes-acp")
"""What Hermes installs (its entry points, in 0.19 and 0.22)."""
NAME: Final = "command"
"""Name in the bundle of the one script that stands for all of them."""
_MAY: Final = """\
if [ "$(id -u)" != 0 ]; then
  if command -v sudo >/dev/null 2>&1; then exec sudo -- "$0" "$@"; fi
  echo "the agent's container is root's: call this as root, or install sudo and allow $(id -un) to" >&2
  exit 77
fi
tty=-i
if [ -t 0 ] && [ -t 1 ]; then tty=-it; fi
"""


def render(agent: Agent) -> str:
    """The script. It runs the command that it is called as; by any other name, `hermes`."""
    project, folder = layout.of(agent).project, layout.working_directory(agent)
    runtime = agent.runtime
    if isinstance(runtime, NativeRuntime):
        body = f'exec {shlex.quote(f"{project}/{unit.AS_AGENT}")} {shlex.quote(f"{project}/current/bin")}/"$name" "$@"'
    else:
        # Its own PATH has the image's own Hermes; with a plain image, the agent's code is mounted beside it.
        official = isinstance(runtime, DockerRuntime)
        user = f"--user {agent.hermes.uid}:{agent.hermes.gid} " if official else ""
        run = '"$name"' if official else f'{project}/layer/entrypoint exec {project}/current/bin/"$name"'
        options = f"{user}--env TERM --workdir {shlex.quote(folder)} {layout.CONTAINER}"
        body = f'{_MAY}exec {runtime.engine} exec "$tty" {options} {run} "$@"'
    return f"""\
#!/bin/sh
# {unit.MARK}: the agent's own command, as its user, sharing its state with the service.
set -eu
case ${{0##*/}} in {"|".join(NAMES[1:])}) name=${{0##*/}} ;; *) name={NAMES[0]} ;; esac
{body}
"""
