#!/bin/sh
# Wait for the gateway itself: a service that runs says little. Runs as the container's root; changes nothing.
#
#   guest-wait.sh SECONDS [PLATFORM...]
#
# Up is when the gateway's own API answers. A newer Hermes first brings its databases up to date, in minutes for each GB
# (NousResearch/hermes-agent: 8 to 26 of them for 5 GB): SECONDS grow with their size. Platforms get a little longer to
# connect; whether they did is told, not judged. Prints facts (name=value; in base64 with `:b64`); on failure the last log
# lines on standard error. Ends with 76 where it may still be at work on its databases, and must not be restarted.
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
longest=3000 # with what the databases add; apply/guest.py has it, too
mb_a_second=2
large=60 # seconds for the databases from which on they may be why it does not answer

told() {
  [ -f "$state" ] && [ ! -L "$state" ] && dd if="$state" iflag=nofollow status=none | tr -d ' \n'
}

# Seconds for the databases. They are the agent's own: whatever size it gives them, it is waited for `longest` at most.
database_seconds() {
  for database in "$home/state.db" "$home"/profiles/*/state.db; do
    if [ -f "$database" ] && [ ! -L "$database" ]; then stat -c %s "$database"; fi
  done | awk -v rate="$mb_a_second" -v longest="$longest" \
    '{ sum += $1 / 1048576 / rate } END { printf "%d", sum < longest ? sum : longest }'
}

give_up() {
  {
    echo "failed: $1"
    rt_words
    log=$home/logs/gateway.log
    if [ -f "$log" ] && [ ! -L "$log" ]; then tail -n 8 "$log"; fi
  } >&2
  exit "${2:-1}"
}

too_late() {
  said="the gateway did not answer within $seconds s"
  [ "$more" -ge "$large" ] || give_up "$said"
  give_up "$said: it may still bring its databases up to date; do not restart it; the same command goes on waiting for it" 76
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

more=$(database_seconds)
[ $((seconds + more)) -le "$longest" ] || more=$((longest - seconds))
seconds=$((seconds + more))
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
  [ "$(date +%s)" -lt "$deadline" ] || too_late
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
