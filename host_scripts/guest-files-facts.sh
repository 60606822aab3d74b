#!/bin/sh
# What is there of the agent's files. Read in by guest-facts.sh and guest-verify.sh, after agent.sh and guest-common.sh;
# defines
#
#   files_facts            print a line for each of the files named in `look` (labels, see below), and for those that
#                          proxhermes installed last: tree.LABEL=UID GID MODE SHA256|- w|- KIND
#   files_contents FOLDER  print the contents of those that are read as a whole (FOLDER: one of root's, for scratch)
#
# All of it is read with the rights of the home's owner, so that a link in it leads to nothing that the agent could not
# read itself. A label is an absolute path, or one below home:, user_home:, workspace:. While another runtime has the
# agent, these are where that one has them.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names

# now NAME FIRST DEFAULT: where the agent's folder NAME is at present. FIRST: below the project, where it was before that
# was remembered. One whose move was just finished is where it should be.
now() {
  found=$(sed -n "s/^$1=//p" "$project/.proxhermes-runtime" 2>/dev/null || true)
  if [ ! -f "$project/.proxhermes-runtime" ] && [ -f "$project/compose.yaml" ]; then found=$project/$2; fi
  if [ -n "$found" ] && [ -d "$found" ]; then printf '%s' "$found"; else printf '%s' "$3"; fi
}

files_places() {
  now_home=$(now home data "$home")
  now_user_home=$(now user_home data/home "$user_home")
  now_workspace=$(now workspace data/workspace "$workspace")
  owner=$(stat -c %u "$now_home" 2>/dev/null || echo 0)
  group=$(stat -c %g "$now_home" 2>/dev/null || echo 0)
  if [ "$owner" = 0 ]; then owner=$uid group=$gid; fi
}

as_owner() { setpriv --reuid "$owner" --regid "$group" --clear-groups "$@"; }

files_facts() {
  files_places
  {
    cat look look.skills 2>/dev/null || true
    # Lines of `sha256  label`. Whoever wrote them, they lead no further than the agent's own rights.
    installed_in "$now_home"
    for profile in $(profiles_there); do
      installed_in "$now_home/profiles/$profile" | sed "s|^user_home:|home:profiles/$profile/home/|; t
        s|^workspace:|home:profiles/$profile/workspace/|; t
        s|^home:|home:profiles/$profile/|"
    done
  } | sort -u | as_owner sh -c "$(cat ./guest-files-look.sh)" look "$now_home" "$now_user_home" "$now_workspace"
}

installed_in() { # HOME
  read_as "$1/.proxhermes/files" 2>/dev/null | sed -n 's/^[0-9a-f]\{64\}  //p' || true
}

# The profiles that the inventory has, and those that were given something.
profiles_there() {
  {
    # shellcheck disable=SC2086 # a word a profile
    printf '%s\n' $profiles
    # shellcheck disable=SC2016 # the agent's shell has these
    as_owner sh -c 'cd "$1/profiles" && for each in *; do [ ! -d "$each/.proxhermes" ] || printf "%s\n" "$each"; done' \
      profiles "$now_home" 2>/dev/null || true
  } | grep -x '[a-z0-9][a-z0-9_-]\{0,63\}' | sort -u | head -n 100
}

files_contents() {
  files_places
  contents '' "$now_home" "$1"
  there=$(profiles_there)
  fact profiles "$(echo "$there" | tr '\n' ' ')"
  for profile in $there; do contents "@$profile" "$now_home/profiles/$profile" "$1"; done
}

contents() { # SUFFIX HOME FOLDER
  content "config$1" "$2/config.yaml" "$3"
  content "env$1" "$2/.env" "$3"
  content "crons$1" "$2/cron/jobs.json" "$3"
  content "hub$1" "$2/skills/.hub/lock.json" "$3"
  for each in config.yaml env files crons hub given; do content "last-$each$1" "$2/.proxhermes/$each" "$3"; done
}

# content NAME PATH FOLDER: owner, mode and content.
content() {
  said=$(as_owner stat -L -c '%u %g %a %F' "$2" 2>/dev/null || stat -c '%u %g %a %F' "$2" 2>/dev/null) || return 0
  told "$1" "$said" "$3" read_as "$2"
}

# told NAME STAT FOLDER COMMAND...: what is there, and of a plain file what COMMAND prints of it. Never waits for a pipe,
# and tells nothing that is larger than such a file ever is: the agent can put anything there at any moment.
told() {
  name=$1 said=$2 into=$3/content
  shift 3
  case $said in *' regular '*) ;; *) fact "file.$name" "$said"; return 0 ;; esac
  if ! "$@" >"$into" 2>/dev/null; then
    fact "file.$name" "${said%% regular*} file that cannot be read"
  elif [ "$(stat -c %s "$into")" -gt 1048576 ]; then
    fact "file.$name" "${said%% regular*} file of more than 1 MiB"
  else
    fact "file.$name" "$said"
    fact64 "file.$name" <"$into"
  fi
}

# With the owner's rights; a plain file of root's own, which somebody made who ran the agent as root, with root's, if no
# link is on the way to it.
read_as() {
  if [ ! -L "$1" ] && [ "$(stat -c %u "$1")" = 0 ]; then
    (cd -P "${1%/*}" && [ "$PWD" = "${1%/*}" ] && dd if="./${1##*/}" iflag=nofollow,nonblock,fullblock bs=1048577 count=1 status=none)
  else
    as_owner dd if="$1" iflag=nonblock,fullblock bs=1048577 count=1 status=none
  fi
}
