#!/bin/sh
# An MCP server's OAuth consent, asked for in the agent's place; afterwards the gateway is restarted, with the tokens.
#
#   guest-mcp-login.sh NAME SECONDS WAIT [force]
#
# NAME: of the server; SECONDS: when to give up; WAIT: seconds that the gateway may take to come up again. Prints `ready`
# once mcp-login.py can be spoken to through /run/proxhermes.login, and its lines, each after `login: `: whoever has the
# agent's rights can write there what he likes, and nothing else.
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

inbox=/run/proxhermes.login
rm -f "$inbox"
trap 'rm -f "$inbox"' EXIT
trap 'exit 143' HUP INT TERM
mkfifo -m 0600 "$inbox"
# This shell alone holds the end that is written to: should it die, the login hears that.
exec 3<>"$inbox"
exec 4<"$inbox"
echo ready
(
  exec <&4 3>&- 4<&-
  rt_exec "$python" -I -S -c "$(cat mcp-login.py)" "${python%/*}/hermes" "$name" "$inner_home" "$seconds" "$@"
) | (
  exec 3>&- 4<&-
  dd bs=4096 count=4096 status=none | sed -u 's/^/login: /' | tee told
)
# Only a new login is news to the gateway, which asks for its MCP servers when it starts.
case $(tail -n 1 told) in
  *'"done": true'*'"known": false'*)
    begin_anew restart
    sh ./guest-wait.sh "$wait"
    ;;
esac
