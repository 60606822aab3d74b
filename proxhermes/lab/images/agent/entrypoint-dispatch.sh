#!/bin/sh
# The image's entry point: supervision where the container gives us PID 1, and the bare program where it does not
# (docker run --init, platforms with an init of their own).
# Usage: entrypoint-dispatch.sh [ARGUMENT…]
set -eu

wrapper=/opt/hermes/docker/main-wrapper.sh
if [ "$$" -eq 1 ]; then
  exec /init "$wrapper" "$@"
fi
echo "[hermes] WARNING: not PID 1: no supervision, running in the foreground" >&2
/opt/hermes/docker/stage2-hook.sh
exec "$wrapper" "$@"
