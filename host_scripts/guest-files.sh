#!/bin/sh
# Puts the agent's folders and files in place. Runs as the container's root, and does everything in the agent's folders with
# the agent's own rights, for it can lay a link in the way at any moment; safe to run again.
#
#   guest-files.sh
#
# Beside it lies `manifest`, a line an entry, fields divided by tabs: KIND MODE OWNER EXPECTED CONTENT PATH.
#   folder   there, of this mode and owner; made with those above it
#   workplace  the same where it is not there; one that is stays as it is, and the agent has to be able to write in it
#   file     with the content of the file CONTENT beside this script, if it still is what was EXPECTED: a sha256, `absent`,
#            or `any`; else `stale: PATH` is printed, nothing is done to it, and the code is 75
#   mode     of this mode and owner; its content is not touched
#   gone     not there, if it still is what was EXPECTED
#   emptied  a folder that goes if nothing is in it
# OWNER is agent or root. Prints `changed: ...` for what it changed.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./agent.sh
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh
umask 077
STALE=75

with_rights_of() { # OWNER COMMAND...
  who=$1
  shift
  case $who in agent) as_agent "$@" ;; root) "$@" ;; *) fail "no owner $who" ;; esac
}

writer() { # OWNER VERB ARGUMENT...: guest-files-write.sh with these rights, which cannot read it here
  who=$1
  shift
  rc=0
  with_rights_of "$who" sh -c "$(cat ./guest-files-write.sh)" guest-files-write.sh "$@" || rc=$?
  [ "$rc" -ne "$STALE" ] || exit "$STALE"
  [ "$rc" -eq 0 ] || fail "$2 could not be put in place (with the rights of: $who)"
}

# own PATH: give something of somebody else's to the agent, if no link is on the way to it.
own() {
  (cd -P "${1%/*}" && [ "$PWD" = "${1%/*}" ] && chown -h "$uid:$gid" "./${1##*/}") ||
    fail "$1 belongs to another user, and a link leads to it"
}

owned() { # OWNER PATH
  [ "$1" = agent ] || return 0
  if [ -L "$2" ] || [ "$(stat -c %u:%g "$2")" = "$uid:$gid" ]; then return 0; fi
  own "$2"
  echo "changed: $2: owner $uid:$gid"
}

folder() { # MODE OWNER PATH
  if [ -d "$3" ]; then
    owned "$2" "$3"
    writer "$2" mode "$3" "$1" </dev/null
    return 0
  fi
  if [ -e "$3" ] || [ -L "$3" ]; then fail "$3 is in the way: it is no folder"; fi
  if [ "$2" = agent ] && writable_above "$3"; then
    writer agent folder "$3" "$1" </dev/null
  else
    # Above it all is root's. Under its own name only when it is as it should be.
    (umask 022 && mkdir -p "${3%/*}")
    new=$(mktemp -d "${3%/*}/.proxhermes.XXXXXX")
    chmod "$1" "$new"
    [ "$2" != agent ] || chown "$uid:$gid" "$new"
    mv -T "$new" "$3"
    sync "${3%/*}"
    echo "changed: $3: made"
  fi
}

workplace() { # MODE OWNER PATH
  # shellcheck disable=SC2016 # the agent's shell has these
  if [ ! -e "$3" ] && [ ! -L "$3" ]; then
    folder "$@"
  elif ! as_agent sh -c '[ -d "$1/" ] && [ -w "$1/" ] && [ -x "$1/" ]' workplace "$3"; then
    fail "$3 is there already, and the agent may not write in it; give it the right to, or name another hermes.working_directory"
  fi
}

# Whether what is there above a path that is not is for the agent to write in.
writable_above() {
  above=${1%/*}
  while [ ! -d "$above/" ]; do above=${above%/*}; done
  as_agent test -w "$above/"
}

while IFS='	' read -r kind mode owner expected content path; do
  case $kind in
  folder) folder "$mode" "$owner" "$path" ;;
  workplace) workplace "$mode" "$owner" "$path" ;;
  mode)
    owned "$owner" "$path"
    writer "$owner" mode "$path" "$mode" </dev/null
    ;;
  file) writer "$owner" file "$path" "$mode" "$expected" <"$content" ;;
  gone) writer "$owner" gone "$path" "$expected" </dev/null ;;
  emptied) with_rights_of "$owner" rmdir --ignore-fail-on-non-empty "$path" ;;
  *) fail "the manifest has a line of the unknown kind $kind" ;;
  esac
done <manifest
