#!/bin/sh
# An MCP server's OAuth consent, asked for in the agent's place; afterwards the gateway begins anew, with the tokens.
#
#   guest-mcp-login.sh NAME SECONDS WAIT [force]
#
# NAME: of the server; SECONDS: when to give up; WAIT: seconds that the gateway may take to come up again. Prints the
# JSON lines of mcp-login.py, before them {"here": folder of this script} and what runs Python as the agent does; through
# both, whoever started this reaches the agent's place while it runs: sh HERE/guest-call.sh rt_exec PYTHON -c ...
# shellcheck disable=SC2154 # agent.sh assigns the agent's names
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./agent.sh
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh
# shellcheck source=host_scripts/guest-runtime-compose.sh
. ./runtime.sh

name=$1 seconds=$2 wait=$3
shift 3

printf '{"here": "%s"}\n' "$here"
rt_exec "$python" -c "$(cat mcp-login.py)" "$name" "$inner_home" "$seconds" "$@" </dev/null | tee told
# Only a new login is news to the gateway, which asks for its MCP servers when it starts.
if grep -q '"done": true' told && ! grep -q '"known": true' told; then
  begin_anew restart
  sh ./guest-wait.sh "$wait"
fi
