#!/bin/sh
# Talks to the agent as its owner would: one prompt to be answered, one that needs a tool call.
# Usage: guest-dialogue.sh CONTAINER NAME SECONDS PROMPT [NAME SECONDS PROMPT...]
# Prints NAME BASE64 (the answer), NAME.err BASE64, NAME.rc BASE64 for each. `hermes chat -Q -q` is the one that ends
# with a code other than 0 when the model could not be asked.
set -eu
container=$1
shift

put() { printf '%s ' "$1"; base64 | tr -d '\n'; echo; }

while [ $# -gt 0 ]; do
    rc=0
    timeout "$2" docker exec "$container" hermes chat -Q -q "$3" </dev/null >out 2>err || rc=$?
    put "$1" <out
    put "$1.err" <err
    echo "$rc" | put "$1.rc"
    shift 3
done
