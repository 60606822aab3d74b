#!/bin/sh
# The agent in a plain image with a layer of its own: what is different from the official image. Read in as a part of
# runtime.sh, after guest-package.sh and guest-closure.sh, which build its code, and guest-runtime-compose.sh.
#
# $project/layer is what the container is told: its entrypoint, the agent's environment, and what this system knows of
# its network. All of it is mounted, so a change of it is read at the next start, and makes no new container.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names

layer=$project/layer
identity_label=io.proxhermes.identity
entrypoint_source=$here/persistent-entrypoint.sh

rt_prepare() {
  compose_prepare
  package_build
}

rt_files() {
  install -d -m 0755 "$layer"
  same "$entrypoint_source" "$layer/entrypoint" 0755
  if [ -f "$here/layer-environment" ]; then place "$here/layer-environment" "$layer/environment" 0644; fi
  compose_files
  layer_network
  package_switch
  policy=$(sed -n 's/^    restart: //p' "$project/compose.yaml" | tr -d "'\"")
  now=$(rt_inspect '{{.HostConfig.RestartPolicy.Name}}')
  if [ -n "$now" ] && [ "$now" != "$policy" ]; then
    "$engine" container update --restart "$policy" "$container" >/dev/null
    echo "changed: container $container: restart policy $now -> $policy"
  fi
}

rt_up() { package_up; }
rt_codes() { package_codes; }

# What this system knows of its network, for the tools in the layer: a proxy of apt's, an index of pip's, certificates.
layer_network() {
  apt-config dump 2>/dev/null | grep -i '^Acquire::https\{0,1\}::Proxy' >"$here/apt.conf" || true
  [ ! -r /etc/pip.conf ] || cat /etc/pip.conf >"$here/pip.conf"
  for name in apt.conf pip.conf; do
    if [ -s "$here/$name" ]; then same "$here/$name" "$layer/$name" 0644; else rm -f "$layer/$name"; fi
  done
  rm -rf "$layer/ca.new"
  install -d -m 0755 "$layer/ca.new"
  find /usr/local/share/ca-certificates -type f -name '*.crt' -exec install -m 0644 -t "$layer/ca.new" {} + 2>/dev/null || true
  rm -rf "$layer/ca"
  mv -T "$layer/ca.new" "$layer/ca"
}

wanted_identity() { sed -n "s/^ *$identity_label: *//p" "$project/compose.yaml" | tr -d "'\""; }
rt_identity() { rt_inspect "{{index .Config.Labels \"$identity_label\"}}"; }

# A container that is the one that is meant is recreated only when that is asked for, whatever compose finds different.
rt_recreate() {
  if [ ! -f "$here/recreate" ] && [ "$(rt_identity)" = "$(wanted_identity)" ]; then
    echo --no-recreate
  else
    echo --force-recreate
  fi
}

rt_retire() {
  compose_retire
  rm -rf "$layer"
}

# What the entrypoint says of the layer; from the container's files, for it may not run.
layer_file() { "$engine" cp "$container:/var/lib/proxhermes/$1" - 2>/dev/null | tar -xOf - 2>/dev/null || true; }

layer_facts() {
  [ -n "$(rt_inspect '{{.Id}}')" ] || return 0
  fact service.identity "$(rt_identity)"
  layer_file failed | fact64 service.provision_failed
}

rt_facts() {
  compose_facts
  file layer "$layer/environment"
  if cmp -s "$entrypoint_source" "$layer/entrypoint"; then fact service.entrypoint same; fi
  have "$engine" && layer_facts
  package_facts
}

rt_verify() {
  compose_verify
  package_verify
  rt_identity | put identity
  layer_file provisioned | put provisioned
  layer_file failed | put provision_failed
}

# Podman would run the container's own ps, which not every image has, were it asked as Docker is.
layer_processes() {
  case $engine in
    podman) podman top "$container" args ;;
    *) "$engine" top "$container" -eo pid,args ;;
  esac
}

# It does until its entrypoint has become the gateway: a new layer's tools take as long as they take.
rt_busy() { layer_processes 2>/dev/null | grep -q "sh $layer/entrypoint *\$"; }

rt_exec() { "$engine" exec -i "$container" "$layer/entrypoint" exec "$@"; }
