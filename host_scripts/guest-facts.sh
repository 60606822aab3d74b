#!/bin/sh
# What is in the guest, asked in one go and changing nothing. Runs as the container's root.
#
#   guest-facts.sh PROJECT_DIR IMAGE LITELLM_URL API_PORT [MOUNT...]
#
# Prints one fact a line, `name=value`; a name that ends in `:b64` has a value in base64. The contents of .env are among
# them: the output is not for a log. With a file litellm.curl beside this script (a curl configuration that holds the
# key's header), LiteLLM is asked as well. For a look from a console: sh guest-facts.sh /opt/hermes IMAGE URL 8642
set -eu

project=$1 image=$2 litellm=$3 api_port=$4
shift 4
here=$(dirname "$0")
scratch=$(mktemp -d -p "$here") # beside this script, where it is on no disk and goes with it
trap 'rm -rf "$scratch"' EXIT

fact() { printf '%s=%s\n' "$1" "$2"; }
fact64() { printf '%s:b64=%s\n' "$1" "$(base64 -w 0)"; }
have() { command -v "$1" >/dev/null 2>&1; }

system() {
  # shellcheck source=/dev/null
  (. /etc/os-release && fact os.id "${ID:-}" && fact os.version "${VERSION_ID:-}" && fact os.codename "${VERSION_CODENAME:-}")
  have dpkg && fact arch "$(dpkg --print-architecture)"
  have dpkg && fact dpkg.broken "$([ -z "$(dpkg --audit 2>&1)" ] && echo no || echo yes)"
  have dpkg-query && dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' \
    docker.io docker-cli docker-compose docker-compose-v2 docker-ce docker-compose-plugin curl 2>/dev/null |
    sed -n 's/^ii *\([^ ]*\) \(.*\)/package.\1=\2/p'
  card=$(ip -o route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
  [ -n "$card" ] && [ -r "/sys/class/net/$card/mtu" ] && fact mtu "$(cat "/sys/class/net/$card/mtu")"
  return 0
}

# A guest that has just booted may still be starting Docker: that is no news about the guest.
settle() {
  tries=0
  while [ "$tries" -lt 150 ]; do
    case $(systemctl is-active docker.service 2>/dev/null || true) in
      active | failed) return 0 ;;
      activating) ;;
      *) [ "$(systemctl is-system-running 2>/dev/null || true)" = starting ] || return 0 ;;
    esac
    sleep 0.2
    tries=$((tries + 1))
  done
}

docker_facts() {
  have docker || return 0
  if have systemctl && systemctl is-enabled --quiet docker.service 2>/dev/null; then
    fact docker.enabled yes
    settle
  fi
  fact docker.client "$(docker version --format '{{.Client.Version}}' 2>/dev/null || true)"
  if docker info --format '{{.ServerVersion}} {{.Driver}}' >"$scratch/info" 2>"$scratch/error" && ! grep -q '^ ' "$scratch/info"; then
    fact docker.server "$(cut -d ' ' -f 1 "$scratch/info")"
    fact docker.driver "$(cut -d ' ' -f 2 "$scratch/info")"
  else
    fact64 docker.error <"$scratch/error"
    return 0
  fi
  fact compose.version "$(docker compose version --short 2>/dev/null || true)"
  fact image.id "$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || true)"
}

container_facts() {
  have docker || return 0
  docker container inspect hermes --format 'container.id={{.Id}}
container.image={{.Image}}
container.status={{.State.Status}}
container.pid={{.State.Pid}}
container.project={{index .Config.Labels "com.docker.compose.project"}}
container.folder={{index .Config.Labels "com.docker.compose.project.working_dir"}}
container.hash={{index .Config.Labels "com.docker.compose.config-hash"}}' >"$scratch/container" 2>/dev/null || return 0
  cat "$scratch/container"
  # What compose would make of the file as it is now; differs from the container's after a run that was cut off.
  fact compose.hash "$(cd "$project" 2>/dev/null && docker compose config --hash hermes 2>/dev/null | sed -n 's/^hermes //p')"
  pid=$(sed -n 's/^container.pid=//p' "$scratch/container")
  grep -qx container.status=running "$scratch/container" && have curl || return 0
  fact gateway.health "$(nsenter -t "$pid" -n curl -s -o /dev/null -m 5 -w '%{http_code}' "http://127.0.0.1:$api_port/health" || true)"
}

# file NAME PATH: owner, mode and content. Never through a symbolic link, never waiting for a pipe, and nothing that is
# larger than such a file ever is: the folder belongs to the agent, which can put anything there at any moment.
file() {
  [ -e "$2" ] || [ -L "$2" ] || return 0
  stat=$(stat -c '%u %g %a %F' "$2" 2>/dev/null) || return 0
  if [ -f "$2" ] && [ ! -L "$2" ]; then
    dd if="$2" iflag=nofollow,nonblock,fullblock bs=1048577 count=1 status=none >"$scratch/content" 2>/dev/null || {
      fact "file.$1" "${stat%% regular*} file that cannot be read"
      return 0
    }
    if [ "$(stat -c %s "$scratch/content")" -gt 1048576 ]; then
      fact "file.$1" "${stat%% regular*} file of more than 1 MiB"
    else
      fact "file.$1" "$stat"
      fact64 "file.$1" <"$scratch/content"
    fi
  else
    fact "file.$1" "$stat"
  fi
}

files() {
  file daemon /etc/docker/daemon.json
  file project "$project"
  file compose "$project/compose.yaml"
  file pending "$project/.proxhermes-pending"
  file data "$project/data"
  file config "$project/data/config.yaml"
  file env "$project/data/.env"
  file state "$project/data/gateway_state.json"
  for mount; do
    if mountpoint -q "$mount"; then fact "mount.$mount" yes; else fact "mount.$mount" no; fi
  done
}

litellm_facts() {
  [ -f "$here/litellm.curl" ] || return 0
  have curl || return 0 # asked again when it is there
  status=$(curl -sS -m 10 -K "$here/litellm.curl" -o "$scratch/models" -w '%{http_code}' "$litellm/models" 2>"$scratch/error") || true
  fact litellm.status "${status:-000}"
  [ -s "$scratch/error" ] && fact64 litellm.error <"$scratch/error"
  [ -s "$scratch/models" ] && head -c 1000000 "$scratch/models" | fact64 litellm.models
  # Only newer versions tell the context in /models; this one tells it for every model that is configured with it.
  if [ "${status:-000}" = 200 ]; then
    curl -sS -m 10 -K "$here/litellm.curl" -o "$scratch/model-info" "${litellm%/v1}/model/info" 2>/dev/null &&
      head -c 4000000 "$scratch/model-info" | fact64 litellm.info
  fi
  return 0
}

system
docker_facts
container_facts
files "$@"
litellm_facts
fact facts complete
