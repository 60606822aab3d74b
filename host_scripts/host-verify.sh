#!/bin/sh
# Looks at what the guest left on the node, and removes the test files: nothing else, and through no link.
# shellcheck disable=SC2016 # the inner shell expands its own arguments
# Usage: host-verify.sh ADDRESS PORTS PAGES NONCE [FOLDER...]
#   ADDRESS  the guest's; - for none      PORTS  comma-separated, tried from here      NONCE  marks the test files
#   PAGES    comma-separated PORT/PATH that are asked for over HTTP, without any key; - for none
# Prints a line an answer: NAME BASE64.
set -eu
address=$1 ports=$2 pages=$3 nonce=$4
shift 4

put() { printf '%s ' "$1"; base64 | tr -d '\n'; echo; }

number=0
for folder in "$@"; do
    for who in root agent tool; do
        file=$folder/.proxhermes-verify-$nonce-$who
        if [ -f "$file" ] && [ ! -L "$file" ]; then
            # The guest can put a link or a pipe there at any moment: neither is followed, neither is waited for.
            {
                stat -c '%u|%g|%a' "$file"
                dd if="$file" iflag=nofollow,nonblock bs=200 count=1 status=none
            } | put "$who.$number"
            rm -f -- "$file"
        fi
    done
    number=$((number + 1))
done

open=
if [ "$address" != - ]; then
    for port in $(echo "$ports" | tr ',' ' '); do
        # bash has /dev/tcp; every Proxmox node has bash.
        if timeout 2 bash -c ': <"/dev/tcp/$0/$1"' "$address" "$port" 2>/dev/null; then open="$open $port"; fi
    done
fi
echo "$open" | put open
if [ "$address" != - ] && [ "$pages" != - ]; then
    for page in $(echo "$pages" | tr ',' ' '); do
        case $address in *:*) host="[$address]" ;; *) host=$address ;; esac
        code=$(curl -g -s -m 10 -o /dev/null -w '%{http_code}' "http://$host:$page" || true)
        echo "$code" | put "page.$page"
    done
fi
