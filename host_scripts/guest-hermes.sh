#!/bin/sh
# Hermes' files in place, its container as wanted, its gateway up. Runs as the container's root; safe to run again.
#
#   guest-hermes.sh PROJECT_DIR UID GID IMAGE none|restart|up API_PORT SECONDS [PLATFORM...]
#
# Beside this script may lie config.yaml, env, compose.yaml: those that do are put in place. UID and GID are the agent's.
# restart: files that the gateway reads once have changed; up: compose decides what has to be made anew.
# Prints `changed: ...` for what it changed, and the facts of guest-wait.sh.
set -eu

project=$1 uid=$2 gid=$3 image=$4 action=$5
shift 5
here=$(cd "$(dirname "$0")" && pwd)
data=$project/data
pending=$project/.proxhermes-pending
umask 022

fail() { echo "failed: $*" >&2; exit 1; }
inspect() { docker container inspect hermes --format "$1" 2>/dev/null || true; }

folders() {
  install -d -m 0755 "$project"
  if [ ! -d "$data" ]; then
    # Under its own name only when it belongs to the agent: the image would otherwise start on a folder it cannot use.
    rm -rf "$data.new"
    install -d -m 0700 -o "$uid" -g "$gid" "$data.new"
    mv "$data.new" "$data"
    echo "changed: $data: made"
  elif [ "$(stat -c %u "$data")" != "$uid" ]; then
    # The agent got another uid: everything of its old one follows, with nobody at work in there meanwhile.
    [ -z "$(inspect '{{.Id}}')" ] || docker container stop hermes >/dev/null
    old=$(stat -c %u "$data")
    # The folder itself is the last one: by it the next run sees whether this one got to the end.
    find "$data" -xdev -depth -user "$old" -exec chown -h "$uid:$gid" {} +
    echo "changed: $data: owner $old -> $uid"
  fi
}

# write SOURCE TARGET MODE: atomically, and with the agent's own rights, for it could have laid a link in the way.
write() {
  # shellcheck disable=SC2016
  setpriv --reuid "$uid" --regid "$gid" --clear-groups sh -eu -c '
    umask 077
    new=$(mktemp "${1%/*}/.proxhermes.XXXXXX")
    trap "rm -f \"$new\"" EXIT
    cat >"$new"
    chmod "$2" "$new"
    sync "$new"
    mv -fT "$new" "$1"
    sync "${1%/*}"
  ' write "$2" "$3" <"$1"
  echo "changed: $2"
}

files() {
  find "$data" -maxdepth 1 -name '.proxhermes.??????' -type f -delete # of a run that was killed while writing
  if [ -f "$here/config.yaml" ]; then write "$here/config.yaml" "$data/config.yaml" 0640; fi
  if [ -f "$here/env" ]; then write "$here/env" "$data/.env" 0600; fi
  # With the agent's rights as well, and not the file's owner's: were that root, a link could be put there meanwhile.
  case $(stat -c '%F %u %a' "$data/.env" 2>/dev/null || true) in
  "regular file $uid 600" | "regular empty file $uid 600") ;;
  "regular file $uid "* | "regular empty file $uid "*)
    setpriv --reuid "$uid" --regid "$gid" --clear-groups chmod 0600 "$data/.env"
    echo "changed: $data/.env: mode 0600"
    ;;
  esac
  # Last, for it remembers what was put into the two others.
  if [ -f "$here/compose.yaml" ]; then
    cat "$here/compose.yaml" >"$project/.compose.yaml.new"
    chmod 0644 "$project/.compose.yaml.new"
    sync "$project/.compose.yaml.new"
    mv "$project/.compose.yaml.new" "$project/compose.yaml"
    echo "changed: $project/compose.yaml"
  fi
}

pull() {
  docker image inspect "$image" >/dev/null 2>&1 && return 0
  echo "pulling $image"
  docker pull "$image" || fail "the image $image could not be pulled"
  echo "changed: image $image: pulled"
}

start() {
  if [ "$(inspect '{{.State.Status}}')" = paused ]; then docker container unpause hermes >/dev/null; fi
  # Hermes makes a gateway wait that starts often, for minutes in the end; this start is meant, and begins a new count.
  setpriv --reuid "$uid" --regid "$gid" --clear-groups rm -f "$data/gateway-starts.log"
  before=$(inspect '{{.Id}} {{.State.StartedAt}}')
  if [ "$action" = up ] || [ "$(inspect '{{.State.Status}}')" != running ]; then
    (cd "$project" && docker compose --ansi never --progress plain up -d --no-build 2>"$here/compose.log") || {
      cat "$here/compose.log" >&2
      fail 'docker compose could not start the agent'
    }
  fi
  # What compose did not make anew or start by itself still has the old files in memory.
  if [ "$before" = "$(inspect '{{.Id}} {{.State.StartedAt}}')" ]; then
    if [ "$reload" = yes ]; then
      docker container restart -t 30 hermes >/dev/null
      echo 'changed: container hermes: restarted'
    fi
  elif [ "${before%% *}" = "$(inspect '{{.Id}}')" ]; then
    echo 'changed: container hermes: started'
  elif [ -n "$before" ]; then
    echo 'changed: container hermes: made anew'
  else
    echo 'changed: container hermes: made'
  fi
}

reload=no
if [ "$action" = restart ] || [ -f "$here/config.yaml" ] || [ -f "$here/env" ] || [ -f "$pending" ]; then reload=yes; fi
[ "$action" = none ] || pull # before anything is changed: it is what fails most
folders
if [ "$action" != none ]; then
  # Kept until the gateway is up again, so that a run that is killed in between is made good by the next one.
  echo "$action" >"$pending"
  sync "$pending"
fi
files
if [ "$action" != none ]; then
  start
  sh "$here/guest-wait.sh" "$project" "$@"
  rm -f "$pending"
fi
