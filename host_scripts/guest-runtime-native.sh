#!/bin/sh
# The agent as a service of systemd, without Docker: how it is prepared, started, asked. Read in by the guest's scripts
# as runtime.sh, after guest-package.sh; what each function is for is said in guest-common.sh.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names

unit_file=/etc/systemd/system/$unit
command_file=/usr/local/bin/hermes
mark='Written by proxhermes'
gecos='Hermes Agent by proxhermes'

rt_show() { systemctl show "$unit" --property "$1" --value 2>/dev/null || true; }

# Whether there is no such file, or proxhermes wrote it.
rt_ours() {
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 0; fi
  [ -f "$1" ] && [ ! -L "$1" ] && grep -qsF "$mark" "$1"
}

# Refuses what the wanted user and group would collide with. With create_user=no they have to be there.
rt_check_user() {
  there=$(getent group "$group" | cut -d : -f 3 || true) name=$(getent group "$gid" | cut -d : -f 1 || true)
  [ -z "$name" ] || [ "$name" = "$group" ] || fail "the group $gid of this guest is called $name, not $group"
  [ -n "$there" ] || [ "$create_user" = yes ] || fail "there is no group $group in this guest, and runtime.create_user is false"
  [ -z "$there" ] || [ "$there" = "$gid" ] || rt_made_by_us || fail "the group $group of this guest is number $there, not $gid"
  there=$(id -u "$user" 2>/dev/null || true) name=$(getent passwd "$uid" | cut -d : -f 1 || true)
  [ -z "$name" ] || [ "$name" = "$user" ] || fail "the user $uid of this guest is called $name, not $user"
  [ -n "$there" ] || [ "$create_user" = yes ] || fail "there is no user $user in this guest, and runtime.create_user is false"
  [ -z "$there" ] || [ "$there" = "$uid" ] || rt_made_by_us || fail "the user $user of this guest is number $there, not $uid"
}

rt_made_by_us() { [ "$create_user" = yes ] && [ "$(getent passwd "$user" | cut -d : -f 5)" = "$gecos" ]; }

rt_user() {
  there=$(getent group "$group" | cut -d : -f 3 || true)
  if [ -z "$there" ]; then
    groupadd -g "$gid" "$group"
    echo "changed: group $group: made, number $gid"
  elif [ "$there" != "$gid" ]; then
    groupmod -g "$gid" "$group"
    echo "changed: group $group: number $there -> $gid"
  fi
  there=$(id -u "$user" 2>/dev/null || true)
  if [ -z "$there" ]; then
    useradd -u "$uid" -g "$gid" -d "$user_home" -M -N -s /bin/bash -c "$gecos" "$user"
    echo "changed: user $user: made, number $uid"
  elif [ "$there" != "$uid" ]; then
    rt_stop
    usermod -u "$uid" "$user"
    echo "changed: user $user: number $there -> $uid"
  fi
}

rt_prepare() {
  rt_check_user
  rt_ours "$unit_file" || fail "$unit_file is there already, and proxhermes did not write it"
  [ "$add_to_path" = no ] || rt_ours "$command_file" ||
    fail "$command_file is there already, and proxhermes did not write it; move it away, or set runtime.add_to_path: false"
  package_build
}

rt_files() {
  rt_user
  if [ -f "$here/as-agent" ]; then place "$here/as-agent" "$project/as-agent" 0755; fi
  if [ -f "$here/unit" ]; then place "$here/unit" "$unit_file" 0644; fi
  if [ "$add_to_path" = no ]; then
    rt_forget_command
  elif [ -f "$here/command" ]; then
    mkdir -p "${command_file%/*}"
    place "$here/command" "$command_file" 0755
  fi
}

rt_forget_command() {
  if [ -e "$command_file" ] && rt_ours "$command_file"; then
    rm "$command_file"
    echo "changed: $command_file: removed"
  fi
}

rt_start() {
  package_switch
  systemctl daemon-reload
  if ! systemctl is-enabled --quiet "$unit" 2>/dev/null; then
    systemctl enable --quiet "$unit"
    echo "changed: $unit: enabled"
  fi
  # One that was left lying after too many starts is started all the same: this start is meant.
  systemctl reset-failed "$unit" 2>/dev/null || true
  before=$(rt_status)
  systemctl restart "$unit" || {
    rt_words >&2
    fail 'systemd could not start the agent'
  }
  if [ "$before" = running ]; then echo "changed: $unit: restarted"; else echo "changed: $unit: started"; fi
  package_prune
}

rt_stop() {
  [ "$(rt_status)" = nothing ] || systemctl stop "$unit"
}

rt_retire() {
  rt_stop
  if [ -f "$unit_file" ] && rt_ours "$unit_file"; then
    systemctl disable --quiet "$unit" 2>/dev/null || true
    rm "$unit_file"
    systemctl daemon-reload
    systemctl reset-failed "$unit" 2>/dev/null || true
    echo "changed: $unit: removed"
  fi
  rt_forget_command
}

rt_status() {
  case "$(rt_show LoadState) $(rt_show ActiveState)" in
    'loaded active' | 'loaded reloading') echo running ;;
    'loaded activating') echo starting ;;
    'loaded deactivating') echo stopping ;;
    'loaded failed') echo failed ;;
    loaded*) echo exited ;;
    *) echo nothing ;;
  esac
}

rt_starts() { rt_show NRestarts; }

rt_health() {
  pid=$(rt_show MainPID)
  if [ "${pid:-0}" -gt 0 ]; then asked_in "$pid" "$api_port"; else echo 000; fi
}

rt_words() {
  echo "$unit: $(rt_show ActiveState), $(rt_show Result), $(rt_show NRestarts) restarts, exit code $(rt_show ExecMainStatus)"
  journalctl -u "$unit" -n 12 --no-pager -o cat 2>&1 || true
}

rt_facts() {
  file unit "$unit_file"
  file as-agent "$project/as-agent"
  file command "$command_file"
  fact service.enabled "$(systemctl is-enabled "$unit" 2>/dev/null || true)"
  fact service.stale "$(rt_show NeedDaemonReload)"
  fact service.user "$(id -u "$user" 2>/dev/null || true)"
  fact service.group "$(getent group "$group" | cut -d : -f 3 || true)"
  package_facts
}

rt_verify() {
  ask unit 20 systemctl show "$unit" --timestamp=unix \
    --property LoadState,ActiveState,SubState,Result,NRestarts,ActiveEnterTimestamp,UnitFileState,MainPID,User,NeedDaemonReload
  ask package 20 readlink "$project/current"
}

# In the service's own view of the file system, where it runs: what it may not write to, this may not either.
rt_exec() {
  pid=$(rt_show MainPID)
  if [ "${pid:-0}" -gt 0 ]; then
    nsenter -t "$pid" -m --wdns="$workspace" "$project/as-agent" "$@"
  else
    (cd "$workspace" && exec "$project/as-agent" "$@")
  fi
}
