#!/bin/sh
# Runs one of the functions of runtime.sh: guest-call.sh rt_exec hermes --version
# shellcheck disable=SC2154 # agent.sh assigns the agent's names
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./agent.sh
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh
# shellcheck source=host_scripts/guest-runtime-compose.sh
. ./runtime.sh
"$@"
