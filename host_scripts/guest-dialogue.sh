#!/bin/sh
# Talks to the agent as its owner would: one prompt to be answered, one that needs a tool call.
# Usage: guest-dialogue.sh NAME SECONDS PROMPT [NAME SECONDS PROMPT...]
# Prints NAME BASE64 (what agent-probe.py told), NAME.err BASE64, NAME.rc BASE64 for each, and asks nothing more of an
# agent that did not answer.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./agent.sh
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh
# shellcheck source=host_scripts/guest-runtime-compose.sh
. ./runtime.sh

while [ $# -gt 0 ]; do
  ask "$1" $(($2 + 10)) rt_exec "$python" -I -S -c "$(cat agent-probe.py)" ask "$inner_home" "$api_port" "$2" "$3"
  [ "$rc" = 0 ] || break
  shift 3
done
