#!/bin/sh
# What is in the guest, asked in one go and changing nothing but a note of what takes long to ask (rt_codes). Runs as the
# container's root.
#
#   guest-facts.sh [MOUNT...]
#
# Prints one fact a line, `name=value`; a name that ends in `:b64` has a value in base64. The contents of .env are among
# them: the output is not for a log. With a file litellm.curl beside this script (a curl configuration that holds the
# key's header and the way), LiteLLM is asked as well: for its models, and with litellm.ask.N for one token of those that
# its list does not have.
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
# shellcheck source=host_scripts/guest-skills.sh
. ./guest-skills.sh
scratch=$(mktemp -d -p "$here") # beside this script, where it is on no disk and goes with it
trap 'rm -rf "$scratch"' EXIT

system() {
  # shellcheck source=/dev/null
  (. /etc/os-release && fact os.id "${ID:-}" && fact os.version "${VERSION_ID:-}")
  have dpkg && fact dpkg.broken "$([ -z "$(dpkg --audit 2>&1)" ] && echo no || echo yes)"
  # shellcheck disable=SC2086 # several words on purpose
  have dpkg-query && dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' \
    docker.io docker-cli docker-compose docker-compose-v2 docker-ce docker-compose-plugin \
    podman aardvark-dns catatonit nftables curl git $debian_packages 2>/dev/null |
    sed -n 's/^ii *\([^ ]*\) \(.*\)/package.\1=\2/p'
  [ ! -f /var/lib/proxhermes/apt/mirror ] || fact apt.mirror "$(head -c 1000 /var/lib/proxhermes/apt/mirror)"
  if cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -v '^ *#' | grep -qE 'https?://[a-z0-9.-]*[.](debian[.]org|ubuntu[.]com)/?'; then fact apt.distribution yes; fi
  card=$({ ip -o route show default; ip -6 -o route show default; } 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
  [ -n "$card" ] && [ -r "/sys/class/net/$card/mtu" ] && fact mtu "$(cat "/sys/class/net/$card/mtu")"
  return 0
}

# Where the guest's packets go, and what the names stand for that the inventory has: no network of an engine's may cover it.
ways() {
  ip -o -4 route show 2>/dev/null | head -n 200 | fact64 routes
  [ -f "$here/hosts" ] || return 0
  # shellcheck disable=SC2016 # the inner shell expands its own names
  timeout 10 sh -c 'while IFS= read -r each; do getent ahostsv4 "$each" 2>/dev/null || true; done' <"$here/hosts" |
    cut -d ' ' -f 1 | sort -u | head -n 200 | fact64 resolved
}

# settle UNIT: a guest that has just booted may still be starting its containers: that is no news about the guest.
settle() {
  tries=0
  while [ "$tries" -lt 150 ]; do
    case $(systemctl is-active "$1" 2>/dev/null || true) in
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
    settle docker.service
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
}

podman_facts() {
  have podman || return 0
  if systemctl is-enabled --quiet podman.socket podman-restart.service 2>/dev/null; then
    fact podman.enabled yes
    settle podman-restart.service
  fi
  fact podman.client "$(podman version --format '{{.Client.Version}}' 2>/dev/null || true)"
  if podman info --format '{{.Version.Version}} {{.Store.GraphDriverName}}' >"$scratch/info" 2>"$scratch/error"; then
    fact podman.server "$(cut -d ' ' -f 1 "$scratch/info")"
    fact podman.driver "$(cut -d ' ' -f 2 "$scratch/info")"
  else
    fact64 podman.error <"$scratch/error"
    return 0
  fi
  fact podman.compose "$(podman compose version --short 2>/dev/null || true)"
}

service_facts() {
  rt_facts
  rt_codes | while read -r id code; do fact "code.$id" "$code"; done
  now=$(rt_status)
  fact service.status "$now"
  if [ "$now" = running ] && have curl; then fact gateway.health "$(rt_health)"; fi
}

# file NAME PATH: owner, mode and content; never through a symbolic link.
file() {
  stat=$(stat -c '%u %g %a %F' "$2" 2>/dev/null) || return 0
  told "$1" "$stat" "$scratch" dd if="$2" iflag=nofollow,nonblock,fullblock bs=1048577 count=1 status=none
}

# place PATH: what is there already of the folders that a change of the runtime moves. A link counts as something.
place_fact() {
  if [ -d "$1" ] && [ ! -L "$1" ] && [ -z "$(ls -A "$1")" ]; then
    fact "place.$1" empty
  elif [ -e "$1" ] || [ -L "$1" ]; then
    fact "place.$1" full
  else
    fact "place.$1" nothing
  fi
}

# The folders that a change of the runtime moves: where they should be, where they were last, and where they would be.
places() {
  then_home=$(sed -n 's/^home=//p' "$project/.proxhermes-runtime" 2>/dev/null || true)
  for each in "$home" "${then_home:-$project/data}"; do printf '%s\n' "$each" "$each/home" "$each/workspace"; done >"$scratch/places"
  printf '%s\n' "$user_home" "$workspace" >>"$scratch/places"
  sed -n 's/^\(user_home\|workspace\)=//p' "$project/.proxhermes-runtime" 2>/dev/null >>"$scratch/places" || true
  [ -z "$folders" ] || printf '%s\n' "$folders" >>"$scratch/places"
  sort -u "$scratch/places" >"$scratch/sorted"
  while IFS= read -r each; do place_fact "$each"; done <"$scratch/sorted"
}

# Where the agent is that has one of the names of its services, whichever runtime it is that the inventory wants.
elsewhere() {
  elsewhere_fact unit_folder "$(sed -n 's|^ExecStart="\{0,1\}\(.*\)/current/bin/hermes.*|\1|p' "/etc/systemd/system/$unit" 2>/dev/null || true)"
  for each in docker podman; do
    have "$each" || continue
    elsewhere_fact "${each}_folder" "$("$each" container inspect "$container" \
      --format '{{index .Config.Labels "com.docker.compose.project.working_dir"}}' 2>/dev/null || true)"
  done
}

# One that proxhermes knows nothing of is no agent of its own.
elsewhere_fact() { # NAME FOLDER
  if [ "$2" != "$project" ] && [ -e "$2/.proxhermes-runtime" ]; then fact "service.$1" "$2"; fi
}

files() {
  file apt_conf /etc/apt/apt.conf.d/50proxhermes
  file daemon /etc/docker/daemon.json
  file docker_unit /etc/systemd/system/docker.service.d/50-proxhermes.conf
  file containers /etc/containers/containers.conf.d/50-proxhermes.conf
  file registries /etc/containers/registries.conf.d/50-proxhermes.conf
  file restart /etc/systemd/system/podman-restart.service.d/50-proxhermes.conf
  for name in hermes hermes-agent hermes-acp; do file "command-$name" "/usr/local/bin/$name"; done
  file runtime "$project/.proxhermes-runtime"
  file compose "$project/compose.yaml"
  file pending "$project/.proxhermes-pending"
  skills_facts
  files_contents "$scratch"
  files_facts
  file data "$now_home"
  file state "$now_home/gateway_state.json"
  places
  for mount; do
    if mountpoint -q "$mount"; then fact "mount.$mount" yes; else fact "mount.$mount" no; fi
  done
}

# litellm_ask SECONDS FILE URL [CURL'S OPTION...]: LiteLLM's status; 000 and a reason in $scratch/error where there is none. The
# configuration beside this script has the key, and the way on which the agent asks.
litellm_ask() {
  seconds=$1 file=$2 url=$3
  shift 3
  : >"$file"
  code=$(curl -sS -g -m "$seconds" -K "$here/litellm.curl" -o "$file" -w '%{http_code}' "$@" "$url" 2>"$scratch/error") || true
  echo "${code:-000}"
}

litellm_facts() {
  [ -f "$here/litellm.curl" ] || return 0
  have curl || return 0 # asked again when it is there
  status=$(litellm_ask 10 "$scratch/models" "$litellm/models")
  fact litellm.status "$status"
  [ -s "$scratch/error" ] && head -c 2000 "$scratch/error" | fact64 litellm.error
  [ -s "$scratch/models" ] && head -c 1000000 "$scratch/models" | fact64 litellm.models
  # Only newer versions tell the context in /models; this one tells it for every model that is configured with it.
  if [ "$status" = 200 ]; then
    [ "$(litellm_ask 10 "$scratch/model-info" "${litellm%/v1}/model/info")" = 000 ] ||
      head -c 4000000 "$scratch/model-info" | fact64 litellm.info
  fi
  [ "$status" = 000 ] || unlisted
}

# A model that the list does not name is asked itself: the list knows no hidden alias, and may not be for this key.
unlisted() {
  over=$(($(date +%s) + 30)) # for all of them together
  for each in litellm.ask.*; do
    number=${each##*.}
    if [ "$status" = 200 ] && head -c 1000000 "$scratch/models" | tr -d ' \n\r\t' | grep -qF -f "litellm.listed.$number"; then continue; fi
    left=$((over - $(date +%s)))
    asked=$(litellm_ask "$((left > 1 ? left : 1))" "$scratch/said" "$litellm/chat/completions" -H 'Content-Type: application/json' --data-binary "@$each")
    fact "litellm.asked.$number" "$asked"
    if [ "$asked" = 000 ]; then cp "$scratch/error" "$scratch/said"; fi
    head -c 2000 "$scratch/said" | fact64 "litellm.said.$number"
  done
}

system
ways
docker_facts
if [ "$engine" = podman ]; then podman_facts; fi
service_facts
elsewhere
files "$@"
litellm_facts
fact facts complete
