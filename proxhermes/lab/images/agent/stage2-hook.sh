#!/bin/sh
# Makes the data volume usable by the hermes user before anything of Hermes runs: ids, owners, modes, first files.
# Changes only what Hermes itself owns there; a host folder mounted below keeps its owner.
set -eu

home=${HERMES_HOME:-/opt/data}
code=/opt/hermes

say() { echo "[stage2] $*"; }
as_hermes() { if [ "$(id -u)" -eq 0 ]; then s6-setuidgid hermes "$@"; else "$@"; fi; }
is_id() { case "$1" in '' | *[!0-9]*) return 1 ;; esac; [ "$1" -ge 1 ] && [ "$1" -le 65534 ]; }

uid=$(id -u)
if [ "$uid" -ne 0 ] && [ "$uid" -ne "$(id -u hermes)" ]; then
  say "ERROR: container started with --user $uid, which is not supported; use HERMES_UID and HERMES_GID" >&2
  exit 1
fi
mkdir -p "$home"

# --- ids ---
wanted_uid=${HERMES_UID:-${PUID:-}}
wanted_gid=${HERMES_GID:-${PGID:-}}
if is_id "$wanted_uid" && [ "$wanted_uid" -ne "$(id -u hermes)" ]; then
  say "Changing hermes UID to $wanted_uid"
  # usermod would walk the home folder, which is the data volume, and refuse while a process of that user runs.
  sed -i "s/^hermes:x:[0-9]*:/hermes:x:$wanted_uid:/" /etc/passwd
fi
if is_id "$wanted_gid" && [ "$wanted_gid" -ne "$(id -g hermes)" ]; then
  say "Changing hermes GID to $wanted_gid"
  sed -i "s/^hermes:x:[0-9]*:/hermes:x:$wanted_gid:/" /etc/group
  sed -i "s/^\(hermes:x:[0-9]*\):[0-9]*:/\1:$wanted_gid:/" /etc/passwd
fi

# --- owners and modes ---
own_tree() {
  if [ -d "$1" ] && [ ! -L "$1" ] && [ -n "$(find "$1" \( ! -user hermes -o ! -group hermes \) -print -quit)" ]; then
    chown -R hermes:hermes "$1" || say "Warning: could not change the owner of $1; continuing"
  fi
}

if [ "$(stat -c %u "$home")" -ne "$(id -u hermes)" ]; then
  say "Fixing ownership of $home (targeted) to hermes ($(id -u hermes))"
  chown hermes:hermes "$home" || say "Warning: could not change the owner of $home; continuing"
  for name in sessions logs hooks memories skills skins plans workspace home lazy-packages; do
    own_tree "$home/$name"
  done
fi
for name in profiles cron pairing platforms/pairing; do
  own_tree "$home/$name"
done
if [ -d "$home/logs/gateways" ] && [ ! -L "$home/logs/gateways" ]; then
  chown hermes:hermes "$home/logs/gateways"
fi
find "$home" -maxdepth 1 -type f -exec chown hermes:hermes {} + -exec chmod u+rw {} + ||
  say "Warning: could not adjust the files in $home; continuing"
if [ -f "$home/config.yaml" ] && [ ! -L "$home/config.yaml" ]; then
  chmod 640 "$home/config.yaml"
fi

# --- folders and first files ---
for name in backups cron sessions logs logs/gateways hooks memories skills skins plans workspace home pairing \
  platforms/pairing lazy-packages; do
  as_hermes mkdir -p "$home/$name"
done
seed() {
  if [ ! -e "$home/$1" ] && [ ! -L "$home/$1" ]; then
    as_hermes cp "$code/$2" "$home/$1"
  fi
}
seed .env .env.example
seed config.yaml cli-config.yaml.example
seed SOUL.md docker/SOUL.md

if [ -f "$home/.env" ] && [ ! -L "$home/.env" ]; then
  if ! grep -q '^API_SERVER_KEY=.' "$home/.env"; then
    sed -i '/^API_SERVER_KEY=$/d' "$home/.env"
    # A last line without its end would swallow the key.
    if [ -s "$home/.env" ] && [ -n "$(tail -c 1 "$home/.env")" ]; then echo >>"$home/.env"; fi
    printf 'API_SERVER_KEY=%s\n' "$(od -An -N 32 -tx1 /dev/urandom | tr -d ' \n')" >>"$home/.env"
    say "Generated API_SERVER_KEY for the loopback gateway api_server"
  fi
  chown hermes:hermes "$home/.env"
  chmod 600 "$home/.env"
fi

# --- configuration of an older version ---
case ${HERMES_SKIP_CONFIG_MIGRATION:-} in
1 | true | yes) ;;
*)
  if ! grep -qx "_config_version: $(cat "$code/docker/config-version")" "$home/config.yaml"; then
    as_hermes env HOME=/opt/data "$code/.venv/bin/python" "$code/scripts/docker_config_migrate.py" ||
      say "Warning: config migration failed; continuing"
  fi
  ;;
esac

if [ ! -e "$home/gateway_state.json" ] && [ "${HERMES_GATEWAY_BOOTSTRAP_STATE:-}" = running ]; then
  printf '{"gateway_state":"running"}\n' | as_hermes tee "$home/gateway_state.json" >/dev/null
fi
as_hermes env HOME=/opt/data "$code/.venv/bin/python" "$code/tools/skills_sync.py" ||
  say "Warning: skills_sync.py failed; continuing"
say "Setup complete; starting user services"
