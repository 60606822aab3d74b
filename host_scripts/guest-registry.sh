#!/bin/sh
# One question to an image registry, asked from where the engine asks it. Changes nothing.
#
#   guest-registry.sh PATH ACCEPT
#
# PATH is below /v2/. registry.list beside this script has a URL a line: a mirror that does not answer, or not so, leaves
# the question to the next one. login.HOST is a curl configuration with the login at that host, if there is one.
# Prints `body:b64=` and the answer in base64, or `error=` and why there is none.
set -eu
cd "$(dirname "$0")"
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh

path=$1 accept=$2

# get URL WORD...: its HTTP status, 000 where the answer did not come whole; it is in answer and headers, neither of them
# larger than 1 MiB.
get() {
  url=$1
  shift
  rm -f answer
  : >headers
  if code=$(
    ulimit -f 2048
    exec curl -gsSL --proto "=$protocols" --connect-timeout 2 -m 6 --max-redirs 3 --max-filesize 1048576 \
      -D headers -o answer -w '%{http_code}' "$@" "$url" 2>said
  ); then
    echo "$code"
  else
    echo 000
    [ -s said ] || echo 'curl: an answer of more than 1 MiB' >said
  fi
}

# challenge NAME: what the registry says of where it hands out tokens, and for what.
challenge() { tr -d '\r' <headers | sed -n "s/^www-authenticate: *bearer *\(.*[ ,]\)\{0,1\}$1=\"\([^\"]*\)\".*/\2/Ip" | tail -n 1; }

# token WORD...: a token in the file bearer. One that is asked for with a login is not asked for in the clear, unless the
# registry itself is.
token() {
  realm=$(challenge realm)
  case $realm in *[!A-Za-z0-9._~:/?\&=%+-]*) return 1 ;; https://* | "$scheme://"*) ;; *) return 1 ;; esac
  status=$(get "$realm" -G --data-urlencode "service=$(challenge service)" --data-urlencode "scope=$(challenge scope)" "$@")
  [ "$status" = 200 ] || return 1
  tr -d '\n' <answer | sed -n 's|.*"\(access_\)\{0,1\}token" *: *"\([A-Za-z0-9._~+/=-]*\)".*|header = "Authorization: Bearer \2"|p' >bearer
  [ -s bearer ]
}

# asked BASE: whether it answers.
asked() {
  scheme=${1%%:*} host=${1#*://}
  host=${host%%/*} protocols=https
  if [ "$scheme" = http ]; then protocols=http,https; fi
  status=$(get "$1/v2/$path" -H "Accept: $accept")
  if [ "$status" = 401 ]; then
    set -- "$1/v2/$path" -H "Accept: $accept"
    login=
    if [ -f "login.$host" ]; then login="-K login.$host"; fi
    # shellcheck disable=SC2086 # two words or none
    if [ -n "$(challenge realm)" ]; then
      token $login && status=$(get "$@" -K bearer)
    elif [ -n "$login" ]; then
      status=$(get "$@" $login)
    fi
  fi
  [ "$status" = 200 ]
}

system_environment
have curl || { fact error 'curl is not installed yet'; exit; }
why='no registry'
while IFS= read -r base; do
  if asked "$base"; then
    fact64 body <answer
    exit
  fi
  if [ -s said ]; then why="$base: $(tail -n 1 said)"; else why="$base: HTTP $status"; fi
done <registry.list
fact error "$why"
