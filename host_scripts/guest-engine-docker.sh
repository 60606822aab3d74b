#!/bin/sh
# Docker: its repository, its configuration, its service. Read in by guest-engine.sh as engine.sh. A file daemon.json
# beside this script becomes /etc/docker/daemon.json, a file docker.conf a part of its unit.
# shellcheck disable=SC2034,SC2154 # guest-common.sh and guest-apt.sh assign these names

docker_key=9DC858229FC7DD38854AE2D88D81803C0EBFCD88 # docs.docker.com/engine/install/debian

# Trust Docker's packages, and only if the key is the one that Docker has published.
engine_repository() {
  # shellcheck source=/dev/null
  . /etc/os-release
  packages ca-certificates curl gpg
  mkdir -p /etc/apt/keyrings
  curl -fsS --retry 3 -m 60 -o "$here/docker.asc" "https://download.docker.com/linux/$ID/gpg" ||
    fail "Docker's repository key could not be downloaded from download.docker.com"
  found=$(gpg --batch --homedir "$here" --with-colons --show-keys "$here/docker.asc" | sed -n '/^pub/,/^fpr/s/^fpr:*\([0-9A-F]*\):$/\1/p')
  [ "$found" = "$docker_key" ] ||
    fail "the key from download.docker.com has the fingerprint ${found:-none}, not Docker's $docker_key; nothing was installed"
  arch=$(dpkg --print-architecture)
  cat >"$here/docker.sources" <<SOURCES
Types: deb
URIs: https://download.docker.com/linux/$ID
Suites: $VERSION_CODENAME
Components: stable
Architectures: $arch
Signed-By: /etc/apt/keyrings/docker.asc
SOURCES
  for name in keyrings/docker.asc sources.list.d/docker.sources; do
    cmp -s "$here/${name##*/}" "/etc/apt/$name" && continue
    place "$here/${name##*/}" "/etc/apt/$name" 0644
    updated=no
  done
}

configure() {
  [ -f "$here/daemon.json" ] || return 0
  # Docker refuses to start with a file that it does not understand, so it is asked first where it is there already.
  if have dockerd; then
    dockerd --validate --config-file "$here/daemon.json" >"$here/validated" 2>&1 ||
      fail "Docker does not accept the new daemon.json: $(cat "$here/validated")"
  fi
  mkdir -p /etc/docker
  place "$here/daemon.json" /etc/docker/daemon.json 0644
}

engine_before() {
  if [ -f "$here/docker.conf" ]; then
    mkdir -p /etc/systemd/system/docker.service.d
    place "$here/docker.conf" /etc/systemd/system/docker.service.d/50-proxhermes.conf 0644
  fi
  running_before=
  if systemctl is-active --quiet docker.service; then running_before=yes; fi
  # Docker's first start finds its configuration there. One that runs gets a new one right before its restart: a run
  # that is cut off in between would leave a file that nobody has read, and the next run would see no difference.
  [ -n "$running_before" ] || configure
}

engine_after() {
  [ ! -f "$here/docker.conf" ] || systemctl daemon-reload
  [ -z "$running_before" ] || configure
  systemctl is-enabled --quiet docker.service || {
    systemctl enable --quiet docker.service
    echo 'changed: docker.service: enabled'
  }
  # systemd refuses a service that starts often within a minute; these starts are ours, and meant.
  systemctl reset-failed docker.service 2>/dev/null || true
  if [ "$(systemctl is-active docker.service)" != active ]; then
    systemctl start docker.service || unhappy
    echo 'changed: docker.service: started'
  elif [ -f "$here/daemon.json" ] && [ -n "$running_before" ]; then
    systemctl restart docker.service || unhappy
    echo 'changed: docker.service: restarted'
  fi
  tries=0
  until docker info >/dev/null 2>"$here/info"; do
    tries=$((tries + 1))
    [ "$tries" -lt 120 ] || unhappy
    sleep 0.5
  done
  docker compose version --short >/dev/null 2>&1 || fail 'Docker runs, but its compose plugin (version 2) is missing'
}

unhappy() {
  [ ! -s "$here/info" ] || cat "$here/info" >&2
  journalctl -u docker.service -n 15 --no-pager -o cat >&2 || true
  fail 'Docker does not run'
}
