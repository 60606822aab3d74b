#!/bin/sh
# The container's command: nothing -> hermes; a program on PATH -> that program; anything else -> a hermes subcommand.
# Always as the hermes user.
set -eu

uid=$(id -u)
if [ "$uid" -ne 0 ] && [ "$uid" -ne "$(id -u hermes)" ]; then
  echo "[hermes] ERROR: container started with --user $uid, which is not supported." >&2
  echo "[hermes] Start it as root and set HERMES_UID and HERMES_GID (or PUID and PGID) instead." >&2
  exit 1
fi

export HOME=/opt/data HERMES_HOME="${HERMES_HOME:-/opt/data}"
# shellcheck source=/dev/null
. /opt/hermes/.venv/bin/activate

if [ $# -eq 0 ]; then
  set -- hermes
elif ! command -v "$1" >/dev/null 2>&1; then
  set -- hermes "$@"
fi
if [ "$uid" -eq 0 ]; then
  exec s6-setuidgid hermes "$@"
fi
exec "$@"
