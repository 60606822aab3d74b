#!/bin/sh
# Docker in the guest: install it, configure it, have it run. Runs as the container's root; safe to run again.
#
#   guest-engine.sh none|distro|docker-ce [PACKAGE...]
#
# none: install nothing but the named packages; distro: the named packages; docker-ce: Docker's own repository, its key
# checked by fingerprint, then the named packages. A file daemon.json beside this script becomes /etc/docker/daemon.json.
# Prints `changed: ...` for what it changed; everything else that it prints is progress.
set -eu

source=$1
shift
here=$(dirname "$0")
docker_key=9DC858229FC7DD38854AE2D88D81803C0EBFCD88 # docs.docker.com/engine/install/debian

umask 022
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"; }
fail() { echo "failed: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# A run that was cut off in the middle of dpkg leaves packages unpacked, and every later one would refuse to start.
mend() {
  if [ -n "$(dpkg --audit 2>&1)" ]; then
    dpkg --configure -a --force-confold || fail "dpkg --configure -a failed: a package on this guest is broken"
    echo 'changed: dpkg: finished an installation that had been cut off'
  fi
}

# apt waits for dpkg's lock, as it is told above, but not for the one of its lists, which its own daily timer may hold.
refresh() {
  tries=0
  until apt update 2>"$here/refused"; do
    if [ "$tries" -ge 60 ] || ! grep -q '/lists/lock' "$here/refused"; then
      cat "$here/refused" >&2
      return 1
    fi
    [ "$tries" -gt 0 ] || echo 'waiting for another apt in this guest'
    tries=$((tries + 1))
    sleep 5
  done
  cat "$here/refused" >&2
}

updated=no
install() {
  if [ "$updated" = no ]; then
    refresh || fail "apt-get update failed: the guest does not reach its package sources"
    updated=yes
  fi
  apt install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@" || fail "apt-get could not install: $*"
}

# Trust Docker's packages, and only if the key is the one that Docker has published.
docker_repository() {
  # shellcheck source=/dev/null
  . /etc/os-release
  install ca-certificates curl gpg
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
    cat "$here/${name##*/}" >"/etc/apt/$name.new"
    chmod 0644 "/etc/apt/$name.new"
    mv "/etc/apt/$name.new" "/etc/apt/$name"
    echo "changed: /etc/apt/$name"
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
  cat "$here/daemon.json" >/etc/docker/daemon.json.new
  chmod 0644 /etc/docker/daemon.json.new
  sync /etc/docker/daemon.json.new
  mv /etc/docker/daemon.json.new /etc/docker/daemon.json
  echo 'changed: /etc/docker/daemon.json'
}

run() {
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

running_before=
if systemctl is-active --quiet docker.service; then running_before=yes; fi
mend
# Docker's first start finds its configuration there. One that runs gets a new one right before its restart: a run that
# is cut off in between would leave a file that nobody has read, and the next run would see no difference.
[ -n "$running_before" ] || configure
case $source in
  none) ;;
  distro) ;;
  docker-ce) docker_repository ;;
  *) fail "usage: guest-engine.sh none|distro|docker-ce [PACKAGE...]" ;;
esac
if [ "$#" -gt 0 ]; then
  install "$@"
  echo "changed: packages: $*"
fi
[ -z "$running_before" ] || configure
run
