# Makes of an image ($1) another one ($2) whose init ends as the official one's, s6-overlay, and not as soon as it can:
# first the hooks in /etc/cont-finish.d, each for S6_KILL_FINISH_MAXTIME ms; then TERM to all, and 3 s later KILL.
# Runs in the guest, with the engine $3. (just-containers/s6-overlay 3.2: cont-finish; skarnet/s6-linux-init: shutdownd.)
set -eu
work=$(mktemp -d)
cd "$work"
"$3" image inspect "$1" >/dev/null 2>&1 || "$3" pull -q "$1" >/dev/null
made=$("$3" create "$1")
"$3" cp "$made":/init init
cat >hook <<'H'
#!/bin/sh
limit=$(cat /run/s6/container_environment/S6_KILL_FINISH_MAXTIME 2>/dev/null || echo 5000)
for hook in /etc/cont-finish.d/*; do
  if [ -x "$hook" ]; then timeout -s KILL "$((limit / 1000))" "$hook"; fi
done
trap '' TERM
s6-svscanctl -t /run/service
kill -TERM -1
sleep 3
kill -KILL -1
H
{
  sed '$d' init
  echo 'install -m 755 /init.hook /run/service/.s6-svscan/SIGTERM'
  tail -n 1 init
} >init.new
chmod 755 init.new
"$3" cp init.new "$made":/init
"$3" cp hook "$made":/init.hook
"$3" commit "$made" "$2" >/dev/null
"$3" rm "$made" >/dev/null
rm -rf "$work"
