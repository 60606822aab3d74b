#!/bin/sh
# One change of one file, with the rights of whoever runs it; a link is followed to where it leads.
#
#   guest-files-write.sh file PATH MODE EXPECTED <CONTENT
#   guest-files-write.sh gone PATH EXPECTED
#   guest-files-write.sh mode PATH MODE
#   guest-files-write.sh folder PATH MODE
#
# Prints `changed: ...`. EXPECTED (a sha256, `absent`, `any`) is what the file has to be still: if it is not, `stale: PATH`
# is printed and the code is 75. Whoever changes it in the very moment of the change does not lose what he wrote, either.
set -eu
umask 077
verb=$1 path=$2

stale() {
  echo "stale: $path"
  exit 75
}

sum() {
  if [ -f "$1" ]; then sha256sum <"$1" | cut -c 1-64; elif [ -e "$1" ]; then echo other; else echo absent; fi
}

target() {
  real=$(readlink -f "$path") || {
    echo "failed: $path: its folder is not there, or a link in it leads nowhere" >&2
    exit 1
  }
}

put() { # MODE EXPECTED
  target
  folder=${real%/*}
  [ "$2" = any ] || [ "$(sum "$real")" = "$2" ] || stale
  new=$(mktemp "$folder/.proxhermes.XXXXXX")
  trap 'rm -f "$new"' EXIT
  cat >"$new"
  chmod "$1" "$new"
  sync "$new"
  case $2 in
  any) mv -fT "$new" "$real" ;;
  absent)
    mv -nT "$new" "$real" || true # which some versions call a failure, others not
    [ ! -e "$new" ] || stale
    ;;
  *) replace "$2" ;;
  esac
  sync "$folder"
  echo "changed: $path"
}

# The two files change places in one step, and then it is seen what the other one was. Where coreutils cannot do this yet
# (before 9.5), there is a moment between the look and the change.
replace() { # EXPECTED
  ours=$(sum "$new")
  if mv --exchange -T "$new" "$real" 2>/dev/null; then
    [ "$(sum "$new")" = "$1" ] && return 0
    # Back, unless the other one has put his next one there already.
    [ "$(sum "$real")" != "$ours" ] || mv --exchange -T "$new" "$real"
    stale
  fi
  [ "$(sum "$real")" = "$1" ] || stale
  mv -fT "$new" "$real"
}

gone() { # EXPECTED
  [ -e "$path" ] || [ -L "$path" ] || return 0
  [ "$(sum "$path")" = "$1" ] || stale
  aside=$(mktemp -u "${path%/*}/.proxhermes.XXXXXX")
  mv -T "$path" "$aside"
  if [ "$(sum "$aside")" != "$1" ]; then
    mv -nT "$aside" "$path"
    stale
  fi
  rm -f "$aside"
  sync "${path%/*}"
  echo "changed: $path: removed"
}

case $verb in
file) put "$3" "$4" ;;
gone) gone "$3" ;;
mode)
  before=$(stat -L -c %a "$path")
  [ "$before" = "${3#0}" ] && exit 0
  chmod "$3" "$path"
  echo "changed: $path: mode $before -> ${3#0}"
  ;;
folder)
  umask 027
  mkdir -p "${path%/*}"
  mkdir -m "$3" "$path"
  sync "${path%/*}"
  echo "changed: $path: made"
  ;;
esac
