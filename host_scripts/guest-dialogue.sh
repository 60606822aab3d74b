#!/bin/sh
# Talks to the agent as its owner would: one prompt to be answered, one that needs a tool call.
# Usage: guest-dialogue.sh NAME SECONDS PROMPT [NAME SECONDS PROMPT...]
# Prints NAME BASE64 (the answer), NAME.err BASE64, NAME.rc BASE64 for each. `hermes chat -Q -q` is the one that ends
# with a code other than 0 when the model could not be asked.
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
  ask "$1" "$2" rt_exec hermes chat -Q -q "$3"
  shift 3
done
