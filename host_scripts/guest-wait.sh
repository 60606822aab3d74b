#!/bin/sh
# Wait for the gateway itself: a service that runs says little. Runs as the container's root; changes nothing.
#
#   guest-wait.sh SECONDS [PLATFORM...]
#
# Up is when the gateway's own API answers. Platforms get a little longer to connect; whether they did is told, not
# judged. Prints facts (name=value; in base64 with `:b64`); on failure the last log lines on standard error.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./agent.sh
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh
# shellcheck source=host_scripts/guest-runtime-compose.sh
. ./runtime.sh
state=$home/gateway_state.json

seconds=$1
shift
platform_seconds=30

told() {
  [ -f "$state" ] && [ ! -L "$state" ] && dd if="$state" iflag=nofollow status=none | tr -d ' \n'
}

give_up() {
  {
    echo "failed: $1"
    rt_words
    log=$home/logs/gateway.log
    if [ -f "$log" ] && [ ! -L "$log" ]; then tail -n 8 "$log"; fi
  } >&2
  exit 1
}

# The gateway has started, and every platform has got as far as it will get for now.
settled() {
  now=$(told) || return 1
  case $now in *'"gateway_state":"starting"'* | *'"state":"connecting"'*) return 1 ;; esac
  for platform; do
    case $now in
      *"\"$platform\":{\"state\":\"connected\""*) ;;
      *"\"$platform\":{\"state\":\"retrying\""* | *"\"$platform\":{\"state\":\"fatal\""*) ;;
      *) return 1 ;;
    esac
  done
}

deadline=$(($(date +%s) + seconds))
first=$(rt_starts)
until [ "$(rt_health)" = 200 ]; do
  status=$(rt_status) count=$(rt_starts)
  case $status in
    nothing) give_up "the agent's service is not there" ;;
    exited | stopped | dead | failed) give_up "the agent's service has stopped" ;;
  esac
  [ "${count:-0}" -lt $((${first:-0} + 3)) ] || give_up "the agent's service starts again and again"
  # How long that takes is the network's affair, and the gateway's time begins after it.
  if rt_busy; then deadline=$(($(date +%s) + seconds)); fi
  [ "$(date +%s)" -lt "$deadline" ] || give_up "the gateway did not answer within $seconds s"
  sleep 0.5
done
deadline=$(($(date +%s) + platform_seconds))
until settled "$@"; do
  [ "$(date +%s)" -lt "$deadline" ] || break
  sleep 0.5
done
fact gateway.health 200
if [ -f "$state" ] && [ ! -L "$state" ]; then
  fact file.state "$(stat -c '%u %g %a %F' "$state")"
  dd if="$state" iflag=nofollow status=none | fact64 file.state
fi
