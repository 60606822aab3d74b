#!/bin/sh
# Packages in the guest, for the scripts that install some. Read in after guest-common.sh.
# shellcheck disable=SC2154 # guest-common.sh assigns here

export DEBIAN_FRONTEND=noninteractive
apt() { LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"; }

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
# packages NAME...: have them, and tell it.
packages() {
  if [ "$updated" = no ]; then
    refresh || fail "apt-get update failed: $(grep '^E: ' "$here/refused" | head -n 1 | cut -c 4-300)"
    updated=yes
  fi
  apt install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@" || fail "apt-get could not install: $*"
}
