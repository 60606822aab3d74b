#!/bin/sh
# Looks at an agent from inside its Proxmox container, and leaves one test file per mount, by root and by the agent.
# shellcheck disable=SC2016 # the inner shells expand their own arguments
# Usage: guest-verify.sh NONCE [MOUNT...]
#   NONCE  marks the test files; whoever looks at them removes them
# Prints a line an answer: NAME BASE64. NAME.rc is the code of the command behind NAME.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./agent.sh
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh
# shellcheck source=host_scripts/guest-runtime-compose.sh
. ./runtime.sh
# shellcheck source=host_scripts/guest-files-facts.sh
. ./guest-files-facts.sh

nonce=$1
shift

rt_verify
ask status 20 rt_status
ask starts 20 rt_starts
date -u +%s | put now
ask listeners 10 ss -H -ltnp

files_facts | put tree
files_places
remembered() { # SUFFIX HOME: what proxhermes has put there, and which of the jobs are ours
  for each in files crons; do
    case $each in files) name=installed ;; *) name=$each ;; esac
    ask "$name$1" 10 setpriv --reuid "$owner" --regid "$group" --clear-groups \
      dd if="$2/.proxhermes/$each" iflag=nonblock,fullblock bs=1M count=1 status=none
  done
}
remembered '' "$now_home"
for profile in $profiles; do remembered "@$profile" "$now_home/profiles/$profile"; done
find "$home" -maxdepth 2 ! -uid "$uid" -printf '%U:%G %p\n' 2>/dev/null | head -n 20 | put strangers
# The agent's own file, which it might exchange for a link or a pipe, or swell.
ask state 10 dd if="$home/gateway_state.json" iflag=nofollow,nonblock,fullblock bs=1M count=1 status=none

# The agent may write there, too, and lay a link to anywhere in root's way: -C makes a new file or none.
number=0
for mount in "$@"; do
  ask "root.$number" 10 sh -C -c 'echo "$2" >"$1/.proxhermes-verify-$2-root"' sh "$mount" "$nonce"
  ask "agent.$number" 20 rt_exec sh -c 'echo "$2" >"$1/.proxhermes-verify-$2-agent"' sh "$mount" "$nonce"
  number=$((number + 1))
done

ask codes 70 rt_codes
# What runs is asked through its own API, and its files: another process beside it may harm it (Hermes 0.21.0 to 0.21.2).
# The standard library alone, isolated: nothing of the agent's is run. The keys stay where they are, in its .env.
ask probe 100 rt_exec "$python" -I -S -c "$(cat agent-probe.py)" look "$inner_home" "$api_port" "$litellm" "$model" \
  "$litellm_ca" "$readings"

# What the gateway knows of jobs and skills, of these profiles; of skills the command, where the gateway fails at them.
known() {
  ask known 90 rt_exec "$python" -I -S -c "$(cat agent-probe.py)" known "$inner_home" "$api_port" "$@"
  grep -q '"skills": null' "$here/out" || return 0
  for profile; do ask "skills@$profile" 60 rt_exec env COLUMNS=1000 "${python%/*}/hermes" -p "$profile" skills list; done
}
# shellcheck disable=SC2046 # a word a profile
[ ! -f profiles ] || known $(cat profiles)

# The agent's Hermes reads its own file: `hermes config get` would be a process a key, and print secrets.
[ ! -f config.declared ] || ask config 60 rt_settings

# In a home of its own, so that nothing is changed should it not refuse, with the folders that it does not start without;
# and by the command itself, for one on the PATH may see to it that the home is the agent's.
[ ! -f managed ] || ask managed 60 rt_exec sh -c '
  HERMES_HOME=$(mktemp -d)
  export HERMES_HOME
  trap "rm -rf \"$HERMES_HOME\"" EXIT
  for folder in $1; do mkdir "$HERMES_HOME/$folder"; done
  grep "^HERMES_MANAGED=" "$3/.env" >"$HERMES_HOME/.env" || :
  "$2" config set proxhermes.verify refused' sh "$(cat managed)" "${python%/*}/hermes" "$inner_home"

# In the agent's place, with the SQLite that its gateway uses: quick or deep, seconds, bytes.
databases() {
  read -r how seconds bytes
  ask databases "$((seconds + 15))" \
    rt_exec "$python" -I -S -c "$(cat state-probe.py)" "$inner_home" "$how" "$seconds" "$bytes"
}
[ ! -f state.depth ] || databases <state.depth

# Each MCP server that the inventory has: its name, seconds, the file of its tokens.
mcp_servers() {
  while read -r server seconds tokens; do
    if [ -n "$tokens" ] && ! rt_exec test -e "$inner_home/$tokens" </dev/null; then
      echo none | put "mcp.$server.tokens"
    else
      ask "mcp.$server" "$seconds" rt_exec "${python%/*}/hermes" mcp test "$server"
    fi
  done
}
[ ! -f mcp.list ] || mcp_servers <mcp.list
