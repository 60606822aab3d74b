#!/bin/sh
# Looks at an agent from inside its Proxmox container, and leaves one test file per mount, by root and by the agent.
# shellcheck disable=SC2016 # the inner shells expand their own arguments
# Usage: guest-verify.sh CONTAINER HOME UID GID NONCE [MOUNT...]
#   CONTAINER  name of the agent's Docker container      HOME   its HERMES_HOME as this system sees it
#   UID GID    the agent's                               NONCE  marks the test files; whoever looks at them removes them
# Prints a line an answer: NAME BASE64. NAME.rc is the code of the command behind NAME.
set -eu
container=$1 home=$2 uid=$3 gid=$4 nonce=$5
shift 5

put() { printf '%s ' "$1"; base64 | tr -d '\n'; echo; }

# ask NAME SECONDS COMMAND...: its output (both streams, in NAME and NAME.err) and its code.
ask() {
    name=$1 limit=$2 rc=0
    shift 2
    timeout "$limit" "$@" </dev/null >out 2>err || rc=$?
    put "$name" <out
    put "$name.err" <err
    echo "$rc" | put "$name.rc"
}

ask docker 20 docker info --format '{{.ServerVersion}}|{{.Driver}}|{{.CgroupVersion}}'
ask compose 20 docker compose version --short
ask inspect 20 docker inspect --type container --format \
    '{{.State.Running}}|{{.RestartCount}}|{{.State.StartedAt}}|{{.Config.Image}}|{{.HostConfig.RestartPolicy.Name}}|{{json .HostConfig.PortBindings}}' \
    "$container"
date -u +%s | put now
ask listeners 10 ss -H -ltnp

for name in "$home" "$home/.env" "$home/config.yaml"; do
    stat -c '%a|%u|%g|%n' "$name" 2>/dev/null || echo "missing|||$name"
done | put files
find "$home" -maxdepth 2 ! -uid "$uid" -printf '%U:%G %p\n' 2>/dev/null | head -n 20 | put strangers
# The agent's own file, which it might exchange for a link or a pipe, or swell.
ask state 10 dd if="$home/gateway_state.json" iflag=nofollow,nonblock,fullblock bs=1M count=1 status=none

# The agent may write there, too, and lay a link to anywhere in root's way: -C makes a new file or none.
number=0
for mount in "$@"; do
    ask "root.$number" 10 sh -C -c 'echo "$2" >"$1/.proxhermes-verify-$2-root"' sh "$mount" "$nonce"
    ask "agent.$number" 20 docker exec --user "$uid:$gid" "$container" \
        sh -c 'echo "$2" >"$1/.proxhermes-verify-$2-agent"' sh "$mount" "$nonce"
    number=$((number + 1))
done

ask version 60 docker exec "$container" hermes --version
ask gateway 60 docker exec "$container" hermes gateway status
ask base_url 60 docker exec "$container" hermes config get model.base_url
ask model 60 docker exec "$container" hermes config get model.default

# The key stays where it is: the probe reads it in the container, from the agent's own .env.
rc=0
timeout 90 docker exec -i --user "$uid:$gid" "$container" sh -c '
    for python in /opt/hermes/.venv/bin/python python3; do
        command -v "$python" >/dev/null && exec "$python" - "$@"
    done
    echo "no python in the image" >&2; exit 127' sh <litellm-probe.py >out 2>err || rc=$?
put litellm <out
put litellm.err <err
echo "$rc" | put litellm.rc
