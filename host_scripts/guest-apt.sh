#!/bin/sh
# Packages in the guest, for the scripts that install some. Read in after guest-common.sh.
# shellcheck disable=SC2154 # guest-common.sh assigns here

export DEBIAN_FRONTEND=noninteractive
apt() { LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"; }

# What the inventory says of the way out: a proxy (apt.conf), a mirror (apt.mirror); empty ones take away what was ours.
apt_settings() {
  if [ -s "$here/apt.conf" ]; then
    place "$here/apt.conf" /etc/apt/apt.conf.d/50proxhermes 0644
  elif [ -f "$here/apt.conf" ]; then
    rm -f /etc/apt/apt.conf.d/50proxhermes
    echo 'changed: /etc/apt/apt.conf.d/50proxhermes: removed'
  fi
  [ ! -f "$here/apt.mirror" ] || apt_mirror "$(cat "$here/apt.mirror")"
}

# apt_mirror BASE: BASE in the place of the distribution's own hosts. A list that we wrote before is what it was again at
# first, unless somebody changed it since.
apt_mirror() {
  state=${apt_state:-/var/lib/proxhermes/apt} lists=${apt_lists:-/etc/apt}
  mkdir -p "$state"
  for list in "$lists"/sources.list "$lists"/sources.list.d/*.list "$lists"/sources.list.d/*.sources; do
    [ -f "$list" ] && [ ! -L "$list" ] || continue
    kept=$state/${list##*/}
    if [ -f "$kept" ] && cmp -s "$kept.ours" "$list"; then
      place "$kept" "$list" 0644
    fi
    rm -f "$kept" "$kept.ours"
    [ -n "$1" ] || continue
    sed -E \
      -e "s#https?://[a-z0-9.-]*[.]debian[.]org/debian-security(/?[[:space:]]|/?\$)#$1/debian-security\\1#g" \
      -e "s#https?://security[.]debian[.]org(/?[[:space:]]|/?\$)#$1/debian-security\\1#g" \
      -e "s#https?://[a-z0-9.-]*[.]debian[.]org/debian(/?[[:space:]]|/?\$)#$1/debian\\1#g" \
      -e "s#https?://[a-z0-9.-]*[.]ubuntu[.]com/(ubuntu|ubuntu-ports)(/?[[:space:]]|/?\$)#$1/\\1\\2#g" \
      "$list" >"$here/list"
    cmp -s "$here/list" "$list" && continue
    cp -p "$list" "$kept"
    cp "$here/list" "$kept.ours"
    place "$here/list" "$list" 0644
  done
  printf '%s' "$1" >"$state/mirror"
  updated=no
}

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
