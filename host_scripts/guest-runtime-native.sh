#!/bin/sh
# The agent as a service of systemd, without Docker: how it is prepared, started, asked. Read in by the guest's scripts
# as runtime.sh, after guest-package.sh; what each function is for is said in guest-common.sh.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names

unit_file=/etc/systemd/system/$unit
gecos='Hermes Agent by proxhermes'

rt_show() { systemctl show "$unit" --property "$1" --value 2>/dev/null || true; }

# What there is of the wanted user and group, by their numbers and by their names.
rt_look_for_user() {
  by_uid=$(getent passwd "$uid" | cut -d : -f 1) by_user=$(getent passwd "$user" | cut -d : -f 3)
  by_gid=$(getent group "$gid" | cut -d : -f 1) by_group=$(getent group "$group" | cut -d : -f 3)
  mine=no
  if [ "$create_user" = yes ] && [ "$(getent passwd "${by_uid:-$user}" | cut -d : -f 5)" = "$gecos" ]; then mine=yes; fi
}

# Refuses what the wanted user and group would collide with. With create_user=no they have to be there.
rt_check_user() {
  rt_look_for_user
  rt_check user "$user" "$uid" "$by_uid" "$by_user"
  rt_check group "$group" "$gid" "$by_gid" "$by_group"
}

# rt_check KIND NAME NUMBER NAME-OF-NUMBER NUMBER-OF-NAME: ours may get another name, or another number.
rt_check() {
  if [ "$4" = "$2" ] || { [ "$mine" = yes ] && { [ -z "$4" ] || [ -z "$5" ]; }; }; then return 0; fi
  [ -z "$4" ] || fail "the $1 $3 of this guest is called $4, not $2"
  [ -z "$5" ] || fail "the $1 $2 of this guest is number $5, not $3"
  [ "$create_user" = yes ] || fail "there is no $1 $2 in this guest, and runtime.create_user is false"
}

rt_user() {
  rt_look_for_user
  [ "$by_uid $by_gid" != "$user $group" ] || return 0
  rt_stop # nobody's name or number is changed while he is at work
  if [ -z "$by_gid$by_group" ]; then
    groupadd -g "$gid" "$group"
    echo "changed: group $group: made, number $gid"
  elif [ -z "$by_gid" ]; then
    groupmod -g "$gid" "$group"
    echo "changed: group $group: number $by_group -> $gid"
  elif [ "$by_gid" != "$group" ]; then
    groupmod -n "$group" "$by_gid"
    echo "changed: group $gid: name $by_gid -> $group"
  fi
  if [ -z "$by_uid$by_user" ]; then
    useradd -u "$uid" -g "$gid" -d "$user_home" -M -N -s /bin/bash -c "$gecos" "$user"
    echo "changed: user $user: made, number $uid"
  elif [ -z "$by_uid" ]; then
    usermod -u "$uid" "$user"
    echo "changed: user $user: number $by_user -> $uid"
  elif [ "$by_uid" != "$user" ]; then
    usermod -l "$user" "$by_uid"
    echo "changed: user $uid: name $by_uid -> $user"
  fi
}

rt_prepare() {
  rt_check_user
  ours "$unit_file" || fail "$unit_file is there already, and proxhermes did not write it"
  package_build
}

rt_files() {
  rt_user
  if [ -f "$here/as-agent" ]; then place "$here/as-agent" "$project/as-agent" 0755; fi
  if [ -f "$here/unit" ]; then place "$here/unit" "$unit_file" 0644; fi
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
}

rt_up() { package_up; }
rt_codes() { package_codes; }

rt_stop() {
  [ "$(rt_status)" = nothing ] || systemctl stop "$unit"
}

rt_retire() {
  rt_stop
  if [ -f "$unit_file" ] && ours "$unit_file"; then
    systemctl disable --quiet "$unit" 2>/dev/null || true
    rm "$unit_file"
    systemctl daemon-reload
    systemctl reset-failed "$unit" 2>/dev/null || true
    echo "changed: $unit: removed"
  fi
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
  fact service.enabled "$(systemctl is-enabled "$unit" 2>/dev/null || true)"
  fact service.stale "$(rt_show NeedDaemonReload)"
  fact service.user "$(id -u "$user" 2>/dev/null || true)"
  fact service.group "$(getent group "$group" | cut -d : -f 3 || true)"
  package_facts
}

rt_verify() {
  ask unit 20 systemctl show "$unit" --timestamp=unix \
    --property LoadState,ActiveState,SubState,Result,NRestarts,ActiveEnterTimestamp,UnitFileState,MainPID,User,NeedDaemonReload
  package_verify
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
