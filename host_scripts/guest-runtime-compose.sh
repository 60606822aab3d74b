#!/bin/sh
# The agent as a service of compose: how it is prepared, started, asked. Read in by the guest's scripts as runtime.sh;
# what each function is for is said in guest-common.sh.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names

finish=$here/container-finish.sh # of the official image alone

rt_inspect() { "$engine" container inspect "$container" --format "$1" 2>/dev/null || true; }
rt_compose() { (cd "$project" && "$engine" compose "$@"); }

# What a runtime with more to it than its container does otherwise, and what compose is told of making that anew.
rt_prepare() { compose_prepare; }
rt_files() { compose_files; }
rt_start() { compose_start "$1"; }
rt_facts() { compose_facts; }
rt_retire() { compose_retire; }
rt_verify() { compose_verify; }
rt_recreate() { [ ! -f "$here/recreate" ] || echo --force-recreate; }

# With the logins that the inventory has, which Docker finds by a folder, and Podman by a file.
compose_pull() (
  if [ -f "$here/registry-auth.json" ]; then
    mkdir -p "$here/registry"
    cp "$here/registry-auth.json" "$here/registry/config.json"
    DOCKER_CONFIG=$here/registry REGISTRY_AUTH_FILE=$here/registry/config.json
    export DOCKER_CONFIG REGISTRY_AUTH_FILE
  fi
  "$engine" pull "$image"
)

compose_prepare() {
  "$engine" image inspect "$image" >/dev/null 2>&1 && return 0
  echo "pulling $image"
  compose_pull || fail "the image $image could not be pulled"
  echo "changed: image $image: pulled"
}

# The Hermes in the image, asked in a container of its own that can do nothing; what it said is kept, by the image's id,
# and so is what the one before it said: its container may still run.
image_code() {
  id=$("$engine" image inspect --format '{{.Id}}' "$image" 2>/dev/null) || return 0
  if [ "$(tail -n 1 "$project/.proxhermes-code" 2>/dev/null | cut -d ' ' -f 1)" != "$id" ]; then
    found=$(code_ask "$engine" run --rm -i --network none --read-only --tmpfs /tmp --user "$uid:$gid" --cap-drop ALL \
      --security-opt no-new-privileges --env HERMES_HOME=/tmp/hermes --entrypoint "$python" "$image")
    [ -n "$found" ] || return 0
    [ -d "$project" ] || { echo "$id $found"; return 0; }
    { tail -n 1 "$project/.proxhermes-code" 2>/dev/null || true; echo "$id $found"; } >"$project/.proxhermes-code.new"
    mv -fT "$project/.proxhermes-code.new" "$project/.proxhermes-code"
  fi
  cat "$project/.proxhermes-code"
}

rt_codes() { if have "$engine"; then image_code; fi; }

compose_files() {
  if [ -f "$here/compose.yaml" ]; then place "$here/compose.yaml" "$project/compose.yaml" 0644; fi
  if [ -f "$finish" ]; then same "$finish" "$project/finish" 0755; fi
}

# The official image's own supervisor starts a gateway that ran when it was last seen. Where the container's main program
# is the gateway, that would be a second one, beside which it refuses to run. (Hermes: hermes_cli/container_boot.py;
# `gateway run` without --no-supervise resets it.) A gateway that runs writes over what others write here (gateway/status.py).
unsupervised() {
  rt_stop
  # shellcheck disable=SC2016
  as_agent sh -eu -c '
    umask 077
    [ -s "$1" ] && ! grep -qx "{ *}" "$1" || { printf "{\"desired_state\": \"stopped\"}\n" >"$1"; exit; }
    if grep -q "\"desired_state\"" "$1"; then
      sed "s/\"desired_state\": *\"[a-z]*\"/\"desired_state\": \"stopped\"/" "$1" >"$1.new"
    else
      sed "0,/{/s/{/{\"desired_state\": \"stopped\", /" "$1" >"$1.new"
    fi
    mv -fT "$1.new" "$1"
  ' unsupervised "$home/gateway_state.json"
}

# compose keeps a network that is there, whatever compose.yaml says of it by now; and its container, which may have a layer
# that is to stay, can be given another one.
compose_network() {
  wanted=$(sed -n 's/^ *- subnet: *//p' "$project/compose.yaml" | head -n 1) network=${container}_default
  [ -n "$wanted" ] || return 0
  case $engine in
    docker) shape='{{range .IPAM.Config}}{{.Subnet}}{{end}}' ;;
    *) shape='{{range .Subnets}}{{.Subnet}}{{end}}' ;;
  esac
  found=$("$engine" network inspect "$network" --format "$shape" 2>/dev/null) || return 0
  [ "$found" != "$wanted" ] || return 0
  rt_stop
  "$engine" network disconnect -f "$network" "$container" >/dev/null 2>&1 || true
  "$engine" network rm "$network" >/dev/null || fail "the network $network ($found) could not be removed: something else is in it"
  rt_compose --ansi never --progress plain create --no-recreate >"$here/compose.log" 2>&1 || {
    cat "$here/compose.log" >&2
    fail "the network $network could not be made with $wanted"
  }
  "$engine" network connect --alias "$container" "$network" "$container" >/dev/null 2>&1 || true # it may be a new one
  echo "changed: network $network: $wanted, not $found"
}

compose_start() {
  compose_network
  before=$(rt_inspect '{{.Id}}') was=$(rt_status)
  if [ "$was" = paused ]; then "$engine" container unpause "$container" >/dev/null; fi
  if [ "$supervised" = no ]; then unsupervised; fi
  started=$(rt_inspect '{{.State.StartedAt}}')
  if [ "$1" = up ] || [ "$(rt_status)" != running ]; then
    # shellcheck disable=SC2046 # no option or one
    rt_compose --ansi never --progress plain up -d --no-build -t "$stop_seconds" $(rt_recreate) 2>"$here/compose.log" || {
      cat "$here/compose.log" >&2
      fail 'compose could not start the agent'
    }
  fi
  if [ "$before" != "$(rt_inspect '{{.Id}}')" ]; then
    if [ -n "$before" ]; then echo "changed: container $container: recreated"; else echo "changed: container $container: made"; fi
    return 0
  fi
  # What compose did not recreate or start by itself still has the old files in memory.
  if [ "$started" = "$(rt_inspect '{{.State.StartedAt}}')" ]; then
    "$engine" container restart -t "$stop_seconds" "$container" >/dev/null
  fi
  case $was in
    running | paused) echo "changed: container $container: restarted" ;;
    *) echo "changed: container $container: started" ;;
  esac
}

# A container that was made by an earlier version has no time of its own to end in.
rt_stop() {
  [ -z "$(rt_inspect '{{.Id}}')" ] || "$engine" container stop -t "$stop_seconds" "$container" >/dev/null
}

compose_retire() {
  rt_stop
  if [ -n "$(rt_inspect '{{.Id}}')" ]; then
    "$engine" container rm -f "$container" >/dev/null
    echo "changed: container $container: removed"
  fi
  if [ -f "$project/compose.yaml" ]; then
    # Its network; a file that compose does not take any more must not stand in the way of what comes after it.
    rt_compose --ansi never --progress plain down --remove-orphans >"$here/compose.log" 2>&1 || cat "$here/compose.log" >&2
    rm -f "$project/compose.yaml" "$project/finish"
    echo "changed: $project/compose.yaml: removed"
  fi
}

rt_status() {
  status=$(rt_inspect '{{.State.Status}}')
  echo "${status:-nothing}"
}

rt_starts() { rt_inspect '{{.RestartCount}}'; }

rt_health() {
  pid=$(rt_inspect '{{.State.Pid}}')
  if [ "${pid:-0}" -gt 0 ]; then asked_in "$pid" "$api_port"; else echo 000; fi
}

rt_words() {
  echo "container: $(rt_inspect '{{.State.Status}}, {{.RestartCount}} restarts, exit code {{.State.ExitCode}} {{.State.Error}}')"
  "$engine" logs --tail 12 "$container" 2>&1 || true
}

compose_facts() {
  have "$engine" || return 0
  if cmp -s "$finish" "$project/finish"; then
    fact service.finish same
  elif [ -e "$project/finish" ]; then
    fact service.finish other
  fi
  # As JSON, for what an image says of itself might hold lines of its own.
  "$engine" image inspect --format 'image.id={{.Id}}
image.architecture={{json .Architecture}}
image.digests={{json .RepoDigests}}' "$image" 2>/dev/null | head -c 65536 || true
  found=$(rt_inspect 'container.image={{.Image}}
container.status={{.State.Status}}
container.stop={{.Config.StopTimeout}}
container.project={{index .Config.Labels "com.docker.compose.project"}}
container.folder={{index .Config.Labels "com.docker.compose.project.working_dir"}}
container.hash={{index .Config.Labels "com.docker.compose.config-hash"}}')
  [ -n "$found" ] || return 0
  printf '%s\n' "$found"
  # What compose would make of the file as it is now; differs from the container's after a run that was cut off.
  fact compose.hash "$(rt_compose config --hash "$container" 2>/dev/null | sed -n "s/^$container //p")"
}

compose_verify() {
  case $engine in
    podman) ask engine 20 podman info --format '{{.Version.Version}}|{{.Store.GraphDriverName}}|{{slice .Host.CgroupsVersion 1}}' ;;
    *) ask engine 20 docker info --format '{{.ServerVersion}}|{{.Driver}}|{{.CgroupVersion}}' ;;
  esac
  ask compose 20 "$engine" compose version --short
  ask inspect 20 "$engine" inspect --type container --format \
    '{{.State.Running}}|{{.RestartCount}}|{{.State.StartedAt}}|{{.Config.Image}}|{{.HostConfig.RestartPolicy.Name}}|{{json .HostConfig.PortBindings}}' \
    "$container"
}

rt_exec() { "$engine" exec -i --user "$uid:$gid" "$container" "$@"; }
