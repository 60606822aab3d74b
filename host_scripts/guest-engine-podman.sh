#!/bin/sh
# Podman: its configuration and its services. Read in by guest-engine.sh as engine.sh. The files containers.conf,
# registries.conf and restart.conf beside this script are put in place, those that are there.
# shellcheck disable=SC2154 # guest-common.sh assigns here

# configure NAME FOLDER: what Podman reads each time that it runs; it has no daemon, and nothing running is disturbed.
configure() {
  [ -f "$here/$1" ] || return 0
  mkdir -p "$2"
  place "$here/$1" "$2/50-proxhermes.conf" 0644
}

engine_before() {
  configure containers.conf /etc/containers/containers.conf.d
  configure registries.conf /etc/containers/registries.conf.d
  configure restart.conf /etc/systemd/system/podman-restart.service.d
}

engine_after() {
  systemctl daemon-reload
  # The service behind the socket goes by itself when nobody asks; one that is still there has the old configuration.
  systemctl try-restart podman.service
  for unit in podman.socket podman-restart.service; do
    systemctl is-enabled --quiet "$unit" || {
      systemctl enable --quiet "$unit"
      echo "changed: $unit: enabled"
    }
  done
  systemctl is-active --quiet podman.socket || {
    systemctl start podman.socket || unhappy
    echo 'changed: podman.socket: started'
  }
  # What compose will go through, not only what Podman says of itself.
  podman --url unix:///run/podman/podman.sock info >/dev/null 2>"$here/info" || unhappy
  podman compose version --short >/dev/null 2>"$here/info" || fail 'Podman runs, but without its compose (docker-compose)'
}

unhappy() {
  [ ! -s "$here/info" ] || cat "$here/info" >&2
  journalctl -u podman.service -u podman.socket -n 15 --no-pager -o cat >&2 || true
  fail 'Podman does not run'
}

engine_repository() { fail 'Podman comes from the distribution'; }
