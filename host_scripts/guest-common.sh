#!/bin/sh
# What the scripts in the guest have in common. Read in by each of them, after agent.sh (the agent as shell assignments:
# engine, project, home, uid, ...) and before runtime.sh (one of guest-runtime-*.sh), which defines
#
#   rt_prepare        do all that can fail, before anything is changed: pull the image, build the package
#   rt_files          put the service's own files in place, those that lie beside this script
#   rt_start ACTION   have the service run; restart: it has to read its files anew; up: its definition has changed
#   rt_up             what is left to do once its gateway is up; nothing unless it says otherwise
#   rt_stop           have it stand still
#   rt_retire         stop it and take it away, for another runtime takes over; its home stays
#   rt_status         print running, exited, paused, ...; nothing where there is no such service
#   rt_starts         print how often it was started again by itself
#   rt_health         print the HTTP status of the gateway's own API, 000 where it does not answer
#   rt_words          print its last words
#   rt_busy           say whether it still prepares itself for its gateway; false unless it says otherwise
#   rt_facts          print facts about it (name=value)
#   rt_codes          print `ID VERSION CONFIG` of each Hermes that is installed: image or version; and of config.yaml's form
#   rt_verify         ask (see below) what the verification wants to know of it
#   rt_exec ARGV...   run something as the agent, in its place and with its environment
# shellcheck disable=SC2154 # agent.sh assigns the agent's names

here=$PWD # each of them goes first to where it lies: the bundle's folder
# shellcheck source=/dev/null
if [ -f proxy.sh ]; then . ./proxy.sh; fi # how this guest gets out, for curl, git, pip and the like

fail() { echo "failed: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# fact NAME VALUE: a line, whatever the value is; what follows its first one would be taken for other facts.
fact() { printf '%s=%s\n' "$1" "${2%%
*}"; }
fact64() { printf '%s:b64=%s\n' "$1" "$(base64 -w 0)"; }

# What the agent's own Hermes reads of the settings in `config.declared`.
rt_settings() { rt_exec "$python" -I -c "$(cat "$here/config-probe.py")" "$inner_home" <"$here/config.declared"; }

rt_busy() { false; }
rt_codes() { :; }
rt_up() { :; }

# In this system, with the agent's rights and no others: in its folders it could have laid a link in the way.
as_agent() { setpriv --reuid "$uid" --regid "$gid" --clear-groups "$@"; }

# begin_anew ACTION: rt_start, and a new count. Hermes makes a gateway wait that starts often, for minutes in the end; this
# start is meant.
begin_anew() {
  as_agent rm -f "$home/gateway-starts.log"
  rt_start "$1"
}

# Proxies and certificates of this system, for what is run here: `pct exec` hands over none of them.
surroundings=/etc/environment
system_environment() {
  [ -r "$surroundings" ] || return 0
  while IFS= read -r line; do
    name=${line%%=*} value=${line#*=}
    case ${name#export } in
      http_proxy | https_proxy | no_proxy | all_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY | ALL_PROXY) ;;
      PIP_[A-Z]* | SSL_CERT_FILE | SSL_CERT_DIR | REQUESTS_CA_BUNDLE | GIT_SSL_CAINFO) ;;
      *) continue ;;
    esac
    case ${name#export } in *[!A-Za-z0-9_]*) continue ;; esac
    case $value in
      \"*\" | \'*\') value=${value#?} value=${value%?} ;;
    esac
    export "${name#export }=$value"
  done <"$surroundings"
}

# place SOURCE TARGET MODE: a file of root's, atomically.
place() {
  install -m "$3" "$1" "$2.new"
  sync "$2.new"
  mv -fT "$2.new" "$2"
  sync "${2%/*}"
  echo "changed: $2"
}

# same SOURCE TARGET MODE: likewise, unless it is there.
same() { cmp -s "$1" "$2" || place "$1" "$2" "$3"; }

# ours FILE: whether there is no such file, or proxhermes wrote it.
ours() {
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 0; fi
  [ -f "$1" ] && [ ! -L "$1" ] && grep -qsF 'Written by proxhermes' "$1"
}

# asked_in PID PORT: the gateway's own answer, in the network of that process.
asked_in() { nsenter -t "$1" -n curl -s -o /dev/null -m 5 -w '%{http_code}' "http://127.0.0.1:$2/health" || true; }

# What the code says of itself: its version, and that of the config.yaml it writes (Hermes: hermes_cli/__init__.py, whose
# 0.0.0 is that of a checkout without a stamp; hermes_cli/config.py).
code_question='
import hermes_cli
from importlib import metadata
from hermes_cli.config import DEFAULT_CONFIG
version = hermes_cli.__version__
if version == "0.0.0":
    version = metadata.version("hermes-agent")
print("Hermes", version, DEFAULT_CONFIG["_config_version"])'

# code_ask PYTHON...: VERSION CONFIG, as the code behind that Python says; nothing where it says nothing of that form.
code_ask() {
  timeout 60 "$@" -I -c "$code_question" </dev/null 2>/dev/null | head -c 4096 |
    sed -n 's/^Hermes \([0-9][0-9A-Za-z.+]\{0,39\} [0-9]\{1,6\}\)$/\1/p' | head -n 1
}

# put NAME: what comes on standard input, as the line `NAME BASE64`.
put() { printf '%s ' "$1"; base64 -w 0; echo; }

# ask NAME SECONDS COMMAND...: its output (both streams, in NAME and NAME.err) and its code (in NAME.rc; 124: too slow).
# COMMAND may be a function of ours, which `timeout` by itself could not run: so it gets a shell of its own for it.
ask() {
  name=$1 limit=$2 rc=0
  shift 2
  case $1 in
    rt_*) timeout "$limit" sh -eu "$here/guest-call.sh" "$@" </dev/null >"$here/out" 2>"$here/err" || rc=$? ;;
    *) timeout "$limit" "$@" </dev/null >"$here/out" 2>"$here/err" || rc=$? ;;
  esac
  put "$name" <"$here/out"
  put "$name.err" <"$here/err"
  echo "$rc" | put "$name.rc"
}
