#!/bin/sh
# Wait for the gateway itself: the container being "Up" says little. Runs as the container's root; changes nothing.
#
#   guest-wait.sh PROJECT_DIR API_PORT SECONDS [PLATFORM...]
#
# Up is when the gateway's own API answers within the Docker container. Platforms get a little longer to connect; whether
# they did is told, not judged. Prints facts (name=value; in base64 with `:b64`); on failure the last log lines on stderr.
set -eu

project=$1 port=$2 seconds=$3
shift 3
state=$project/data/gateway_state.json
platform_seconds=30

inspect() { docker container inspect hermes --format "$1" 2>/dev/null || true; }

told() {
  [ -f "$state" ] && [ ! -L "$state" ] && dd if="$state" iflag=nofollow status=none | tr -d ' \n'
}

fail() {
  {
    echo "failed: $1"
    echo "container: $(inspect '{{.State.Status}}, {{.RestartCount}} restarts, exit code {{.State.ExitCode}} {{.State.Error}}')"
    docker logs --tail 12 hermes 2>&1 || true
    log=$project/data/logs/gateway.log
    if [ -f "$log" ] && [ ! -L "$log" ]; then tail -n 8 "$log"; fi
  } >&2
  exit 1
}

# Every platform has got as far as it will get for now.
settled() {
  now=$(told) || return 1
  for platform; do
    case $now in
      *"\"$platform\":{\"state\":\"connected\""*) ;;
      *"\"$platform\":{\"state\":\"retrying\""* | *"\"$platform\":{\"state\":\"fatal\""*) ;;
      *) return 1 ;;
    esac
  done
}

healthy() {
  pid=$(inspect '{{.State.Pid}}')
  [ "${pid:-0}" -gt 0 ] || return 1
  [ "$(nsenter -t "$pid" -n curl -s -o /dev/null -m 5 -w '%{http_code}' "http://127.0.0.1:$port/health")" = 200 ]
}

deadline=$(($(date +%s) + seconds))
first=$(inspect '{{.RestartCount}}')
until healthy; do
  status=$(inspect '{{.State.Status}}') count=$(inspect '{{.RestartCount}}')
  case $status in
    '') fail 'there is no container hermes' ;;
    exited | dead) fail "the agent's container has stopped" ;;
  esac
  [ "${count:-0}" -lt $((${first:-0} + 3)) ] || fail "the agent's container starts again and again"
  [ "$(date +%s)" -lt "$deadline" ] || fail "the gateway did not answer within $seconds s"
  sleep 0.5
done
deadline=$(($(date +%s) + platform_seconds))
until settled "$@"; do
  [ "$(date +%s)" -lt "$deadline" ] || break
  sleep 0.5
done
echo "gateway.health=200"
if [ -f "$state" ] && [ ! -L "$state" ]; then
  echo "file.state=$(stat -c '%u %g %a %F' "$state")"
  printf 'file.state:b64=%s\n' "$(dd if="$state" iflag=nofollow status=none | base64 -w 0)"
fi
