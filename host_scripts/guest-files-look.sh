#!/bin/sh
# Looks at files, with the rights of whoever runs it. Labels come on standard input, a line each; see guest-files-facts.sh.
#
#   guest-files-look.sh HOME USER_HOME WORKSPACE <LABELS
set -eu
home=$1 user_home=$2 workspace=$3
largest=67108864
most_copies=1000 # of a file; of more, the next run sees the rest

path() {
  case $1 in
  home:*) path=$home/${1#home:} ;;
  user_home:*) path=$user_home/${1#user_home:} ;;
  workspace:*) path=$workspace/${1#workspace:} ;;
  *) path=$1 ;;
  esac
  path=${path%/}
}

# The last word on a file: whether the agent may put another one in its place.
writable() { if [ -w "$1" ]; then printf w; else printf -- -; fi; }

sum() { dd if="$1" iflag=nonblock,fullblock bs=1M count=65 status=none 2>/dev/null | sha256sum | cut -c 1-64; }

look() { # LABEL PATH
  said=$(stat -L -c '%u %g %a' "$2" 2>/dev/null) || {
    if [ -L "$2" ]; then dangling "$1" "$2"; fi
    return 0
  }
  real=$(readlink -f "$2")
  if [ -d "$2" ]; then
    printf 'tree.%s=%s - %s directory\n' "$1" "$said" "$(writable "$real")"
  elif [ ! -f "$2" ]; then
    printf 'tree.%s=%s - - %s\n' "$1" "$said" "$(stat -L -c %F "$2")"
  elif [ ! -r "$2" ]; then
    printf 'tree.%s=%s - - %s that cannot be read\n' "$1" "$said" "$(stat -c %F "$2")"
  elif [ "$(stat -L -c %s "$2")" -gt "$largest" ]; then
    printf 'tree.%s=%s - - file of more than 64 MiB\n' "$1" "$said"
  else
    printf 'tree.%s=%s %s %s %s\n' "$1" "$said" "$(sum "$2")" "$(writable "${real%/*}")" "regular file"
  fi
}

# Through a link that leads nowhere yet, a file can be made where it leads, if the folder is there.
dangling() {
  real=$(readlink -f "$2") && [ -w "${real%/*}" ] ||
    printf 'tree.%s=%s - - symbolic link that leads nowhere\n' "$1" "$(stat -c '%u %g %a' "$2")"
}

# What a run that was killed while it wrote has left.
leftovers() { # LABEL-OF-FOLDER PATH-OF-FOLDER
  for each in "$2"/.proxhermes.[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]; do
    if [ -f "$each" ] && [ ! -L "$each" ]; then look "$1${each##*/}" "$each"; fi
  done
}

# The copies that Hermes' migration leaves beside a file (0.22: hermes_cli/post_update.py), the newest ones of them first.
copies() { # LABEL PATH
  name=${2##*/} folder=${2%/*}
  [ -d "$folder" ] || return 0
  access=$(writable "$folder")
  # One line of a name that has several is the name of nothing.
  find "$folder/" -maxdepth 1 -type f -size -1048577c -name "$name.bak-*" -printf '%U %G %m %f\n' |
    grep -E '^[0-9]+ [0-9]+ [0-7]+ [^ ]+\.bak-[0-9]{8}T[0-9]{6}Z(\.[0-9]{1,3})?$' | sort -k 4rV | head -n "$most_copies" |
    while read -r owner group mode copy; do
      copy=${copy#"$name"}
      if [ ! -f "$2$copy" ] || [ -L "$2$copy" ]; then continue; fi
      printf 'tree.%s=%s %s %s %s %s regular file\n' "$1$copy" "$owner" "$group" "$mode" "$(sum "$2$copy")" "$access"
    done
}

seen=
while IFS= read -r label; do
  path "$label"
  case $path in /*) ;; *) continue ;; esac # no label of ours, and to a command perhaps an option
  look "$label" "$path"
  case $label in home:config.yaml | home:.env | home:profiles/*/config.yaml | home:profiles/*/.env) copies "$label" "$path" ;; esac
  case $label in *:) continue ;; esac # one of the agent's folders itself
  folder=${path%/*}
  case "$seen" in *"
$folder
"*) ;;
  *)
    seen="$seen
$folder
"
    leftovers "${label%"${path##*/}"}" "$folder"
    ;;
  esac
done
