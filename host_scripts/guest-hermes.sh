#!/bin/sh
# Hermes' files in place, its service as wanted, its gateway up. Runs as the container's root; safe to run again.
#
#   guest-hermes.sh prepare
#   guest-hermes.sh none|restart|up SECONDS [PLATFORM...]
#
# prepare: get the image or build the package, and nothing else; what its files should be depends on which Hermes it is.
# Beside this script may lie `manifest` (see guest-files.sh), the runtime's own files (compose.yaml, a unit) and `runtime`,
# which says where the agent's folders are: those that do are put in place. restart: files that the gateway reads once have changed;
# up: the service's definition has changed. none, where an earlier run left its gateway at work on its databases: wait for
# it. With previous-agent.sh and previous.sh, another runtime had the agent until
# now: it gives it up, and the folders named in `moves` (FROM, TAB, TO) go over.
# Prints `changed: ...` for what it changed, and the facts of guest-wait.sh.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./agent.sh
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh
# shellcheck source=host_scripts/guest-runtime-compose.sh
. ./runtime.sh
# shellcheck source=host_scripts/guest-skills.sh
. ./guest-skills.sh
pending=$project/.proxhermes-pending

action=$1
shift
umask 022

# The service that had the agent until now ends before its folders move: there is one gateway to a home at most.
# shellcheck source=/dev/null
retire() (
  . ./previous-agent.sh
  . ./previous.sh
  rt_retire
)

# move FROM TO: by rename; to another file system by a copy that has its name, and takes the other's place, when it is
# whole. A run that was killed goes on where it stopped.
move() {
  if [ ! -e "$2.moved" ]; then
    [ -e "$1" ] || return 0
    mkdir -p "${2%/*}"
    [ ! -d "$2" ] || rmdir "$2"
    if [ "$(stat -c %d "$1")" = "$(stat -c %d "${2%/*}")" ]; then
      mv -T "$1" "$2"
      echo "changed: $1 -> $2: moved"
      return 0
    fi
    rm -rf "$2.copying"
    cp -ax "$1" "$2.copying"
    sync -f "$2.copying"
    mv -T "$2.copying" "$2.moved"
  fi
  rm -rf --one-file-system "$1"
  mv -T "$2.moved" "$2"
  echo "changed: $1 -> $2: moved"
}

moves() {
  [ -f moves ] || return 0
  rt_stop
  while IFS='	' read -r from to; do move "$from" "$to"; done <moves
}

# The agent got another uid or gid: everything of its old one follows, with nobody at work in there meanwhile.
hand_over() {
  old=$(stat -c %u:%g "$home" 2>/dev/null || echo "$uid:$gid")
  [ "$old" != "$uid:$gid" ] || return 0
  rt_stop
  # The home itself is the last one: by it the next run sees whether this one got to the end.
  set -- "$user_home" "$workspace" "$home"
  if [ "${old%:*}" != 0 ]; then # of root's, only what is in the agent's home is the agent's
    # What it lies in, where that is the agent's, too: without it the agent would not come to its home.
    if [ "$(stat -c %u:%g "${home%/*}")" = "$old" ]; then chown -h "$uid:$gid" "${home%/*}"; fi
    printf '%s\n' "$writable" >"$here/writable"
    while IFS= read -r folder; do set -- "$folder" "$@"; done <"$here/writable"
  fi
  for folder; do
    [ ! -d "$folder" ] || hand "$folder" ||
      fail "$folder: not all of $old in there can be given to $uid:$gid; on a network storage that is done on its server"
  done
  echo "changed: $home: owner $old -> $uid:$gid"
}

# hand FOLDER: what is somebody else's in there stays, and a group that is not the old one, too. Others may be at work in
# a mount, so each name is changed in the folder that it was found in.
hand() {
  find "$1" -xdev -depth -uid "${old%:*}" \
    \( -gid "${old#*:}" -execdir chown -h "$uid:$gid" {} + -o -execdir chown -h "$uid" {} + \)
}

# The agent's commands on everybody's PATH; what somebody else put there stays.
commands() {
  for command in hermes hermes-agent hermes-acp; do
    command=/usr/local/bin/$command
    ours "$command" || continue
    if [ "$add_to_path" = yes ] && [ -f command ]; then
      mkdir -p "${command%/*}"
      same "$here/command" "$command" 0755
    elif [ "$add_to_path" = no ] && [ -e "$command" ]; then
      rm "$command"
      echo "changed: $command: removed"
    fi
  done
}

if [ "$action" = prepare ]; then
  rt_prepare
  skills_prepare
  exit
fi
[ "$action" = none ] || rt_prepare # before anything is changed: it is what fails most
install -d -m 0755 "$project"
if [ "$action" = none ] && [ "$(cat "$pending" 2>/dev/null)" = wait ]; then
  action="wait"
elif [ "$action" != none ]; then
  # Kept until the gateway is up again, so that a run that is killed in between is made good by the next one.
  echo "$action" >"$pending"
  sync "$pending"
fi
if [ -f previous.sh ]; then retire; fi
moves
hand_over
# From here on the next run looks for the agent where it is now.
if [ -f runtime ] && ! cmp -s runtime "$project/.proxhermes-runtime"; then
  place runtime "$project/.proxhermes-runtime" 0644
fi
if [ -f manifest ]; then sh ./guest-files.sh; fi # ends with its own code where a file is not what had been read
skills_sweep
rt_files
commands
if [ "$action" != none ]; then
  [ "$action" = wait ] || begin_anew "$action"
  sh ./guest-wait.sh "$@" || {
    rc=$?
    # The next run must not restart it, which would begin that work again.
    if [ "$rc" = 76 ]; then echo wait >"$pending"; fi
    exit "$rc"
  }
  rt_up
  rm -f "$pending"
fi
# What Hermes keeps itself is changed with its own command; skills first, for jobs may use them.
for each in hub.json hub@*.json crons.json crons@*.json; do
  [ -f "$each" ] || continue
  case $each in
  *@*) of=${each#*@} of=${of%.json} of_home=$inner_home/profiles/$of ;;
  *) of=default of_home=$inner_home ;;
  esac
  rt_exec "$python" -I -S -c "$(cat ./agent-steps.py)" "$of_home" "$of" <"$each"
done
