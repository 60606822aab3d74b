#!/bin/sh
# Begins in the container of a `persistent` agent, as its root, at each start; any image that has a /bin/sh will do.
#
#   entrypoint            make the user, provision the tools once, set the rights, and become the gateway
#   entrypoint exec ARGV  run something as the agent, with its environment
#   entrypoint health     end well if the gateway's own API does
#
# Beside it lie `environment` (shell: what the inventory says of this agent) and what the system around the container
# knows of its network: apt.conf, pip.conf, ca/*.crt. All of it is mounted, so none of it makes a new container.
# shellcheck disable=SC2154 # `environment` assigns the agent's names
set -u

folder=${0%/*}
npm_version=10.9.4 # the last that runs with Node.js 18, which Debian 12 and Ubuntu 24.04 have
npm_sha256=4bfba8a0c823024d1926ec9d97a37a00eb60fd2adf44b3d34a686fc32e8f51e4
kept=/var/lib/proxhermes # in the layer: what was provisioned into it, or why not
# shellcheck source=/dev/null
. "$folder/environment" || exit 1

say() { echo "proxhermes: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# entry FILE NUMBER: the name that has this number in /etc/passwd or /etc/group. Not every image has getent.
entry() {
  while IFS=: read -r name _ number _; do
    if [ "$number" = "$2" ]; then
      echo "$name"
      return 0
    fi
  done <"/etc/$1"
}

# free FILE: a name that nobody has.
free() {
  if grep -q '^hermes:' "/etc/$1" 2>/dev/null; then echo "hermes-$agent_uid"; else echo hermes; fi
}

# The user and group that have the agent's numbers, whatever they are called; made where there are none.
identify() {
  [ -e /etc/passwd ] || echo 'root:x:0:0:root:/root:/bin/sh' >/etc/passwd
  [ -e /etc/group ] || echo 'root:x:0:' >/etc/group
  if [ -z "$(entry group "$agent_gid")" ]; then
    name=$(free group)
    if have groupadd; then
      groupadd -g "$agent_gid" "$name"
    elif ! { have addgroup && addgroup -g "$agent_gid" "$name" 2>/dev/null; }; then
      echo "$name:x:$agent_gid:" >>/etc/group
    fi
  fi
  if [ -z "$(entry passwd "$agent_uid")" ]; then
    name=$(free passwd) shell=/bin/sh
    [ ! -x /bin/bash ] || shell=/bin/bash
    if have useradd; then
      useradd -u "$agent_uid" -g "$agent_gid" -M -N -d "$HOME" -s "$shell" "$name" 2>/dev/null
    elif have adduser; then
      adduser -u "$agent_uid" -D -H -h "$HOME" -s "$shell" -G "$(entry group "$agent_gid")" "$name" 2>/dev/null
    fi
    [ -n "$(entry passwd "$agent_uid")" ] || echo "$name:x:$agent_uid:$agent_gid::$HOME:$shell" >>/etc/passwd
  fi
}

# What only the agent may own, and only where somebody else does: a start must not touch every file that there is, and
# cannot touch what is mounted read-only. What fails keeps nothing else from being set.
rights() {
  wrong=0
  for place in "$HERMES_HOME" "$HOME" "$agent_workspace"; do
    [ -d "$place" ] || mkdir -p "$place" || wrong=1
    set --
    while read -r _ _ _ _ point options _; do
      case $point:$options, in
        "$place"/*:ro,*) set -- "$@" -path "$(printf %b "$point")" -prune -o ;; # the kernel writes a blank as \040
      esac
    done </proc/self/mountinfo
    find "$place" -xdev "$@" \( ! -user "$agent_uid" -o ! -group "$agent_gid" \) \
      -exec chown -h "$agent_uid:$agent_gid" {} + || wrong=1
    chmod 0750 "$place" || wrong=1
  done
  return "$wrong"
}

# What makes the agent root when it asks for it; at each start, for its number may be another one than before.
sudoer() {
  if ! have sudo; then return 0; fi
  to=/etc/sudoers.d/proxhermes
  # sudo passes over names with a dot.
  mkdir -p "${to%/*}" && echo "#$agent_uid ALL=(ALL:ALL) NOPASSWD:ALL" >"$to.new" && chmod 0440 "$to.new" && mv "$to.new" "$to"
}

# As the agent, in this environment. Never returns.
become() {
  user=$(entry passwd "$agent_uid")
  USER=$user LOGNAME=$user
  export USER LOGNAME
  if [ "$(id -u)" = "$agent_uid" ]; then exec "$@"; fi
  # busybox has a setpriv, too, which changes no user.
  if setpriv --reuid "$agent_uid" --regid "$agent_gid" --init-groups true 2>/dev/null; then
    exec setpriv --reuid "$agent_uid" --regid "$agent_gid" --init-groups "$@"
  elif have su && su -s /bin/sh "$user" -c : 2>/dev/null; then
    # It sets HOME to what /etc/passwd says, which for a user of the image's own is another.
    # shellcheck disable=SC2016
    exec su -s /bin/sh "$user" -c 'HOME=$1 && export HOME && shift && exec "$@"' -- sh "$HOME" "$@"
  elif [ "$agent_allow_root" = yes ]; then
    say 'neither setpriv nor su can give up the rights of root in this image: running as root, as runtime.allow_root says'
    HERMES_ALLOW_ROOT_GATEWAY=1
    export HERMES_ALLOW_ROOT_GATEWAY
    exec "$@"
  fi
  say 'neither setpriv nor su can give up the rights of root in this image; runtime.allow_root: true runs the agent as root'
  exit 1
}

# What the agent runs finds its own tools first, then the image's, and the agent's own code last.
surroundings() {
  PATH=$HOME/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$agent_code/bin
  NPM_CONFIG_PREFIX=$HOME/.local # `npm install -g` without sudo
  LANG=${LANG:-C.UTF-8}
  HERMES_DISABLE_LAZY_INSTALLS=1 # its code is read-only
  export PATH NPM_CONFIG_PREFIX LANG HERMES_DISABLE_LAZY_INSTALLS
  if [ -x "$HOME/.venv/bin/python" ]; then
    VIRTUAL_ENV=$HOME/.venv PATH=$HOME/.venv/bin:$PATH
    export VIRTUAL_ENV
  fi
  bundle=/etc/ssl/certs/ca-certificates.crt
  if [ ! -s "$bundle" ]; then
    bundle=$agent_code/python/ca-certificates.crt
  elif ls "$folder"/ca/*.crt >/dev/null 2>&1; then
    # These bring certificates of their own, and do not know those of this place.
    PIP_CERT=$bundle REQUESTS_CA_BUNDLE=$bundle NODE_EXTRA_CA_CERTS=$bundle
    export PIP_CERT REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS
  fi
  SSL_CERT_FILE=$bundle
  export SSL_CERT_FILE
}

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o Acquire::Retries=2 -o Acquire::http::Timeout=30 \
    -o Acquire::https::Timeout=30 -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-confold "$@"
}

# The way to the package sources, as the system around the container goes it now.
proxy() {
  [ -d /etc/apt/apt.conf.d ] || return 0
  if [ -f "$folder/apt.conf" ]; then
    cp "$folder/apt.conf" /etc/apt/apt.conf.d/90proxhermes
  else
    rm -f /etc/apt/apt.conf.d/90proxhermes
  fi
}

# What was cut off in the middle of dpkg is finished first.
packages() {
  dpkg --configure -a --force-confold || return 1
  apt update || return 1
  # shellcheck disable=SC2086 # one word a package
  apt install -y --no-install-recommends $agent_packages || return 1
  if ls "$folder"/ca/*.crt >/dev/null 2>&1; then
    mkdir -p /usr/local/share/ca-certificates/proxhermes
    cp "$folder"/ca/*.crt /usr/local/share/ca-certificates/proxhermes/ && update-ca-certificates || return 1
  fi
  sudoer
}

# npm as its makers ship it: Debian's is the same in 370 packages, which are 170 MB and take longer than all the rest.
# Where the registry is not reached, or Node.js is an older one, it is those after all.
node_packages() {
  if have npm; then return 0; fi
  to=/usr/local/lib/node_modules/npm
  rm -rf "$to.new"
  # shellcheck disable=SC2015 # whatever of it fails, the other way is taken
  mkdir -p "$to.new" /usr/local/bin &&
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b > 4) || (a === 18 && b > 16) ? 0 : 1)' &&
    curl -fsS --retry 2 -m 120 -o "$kept/npm.tgz" "https://registry.npmjs.org/npm/-/npm-$npm_version.tgz" &&
    echo "$npm_sha256  $kept/npm.tgz" | sha256sum -c - &&
    tar -xzf "$kept/npm.tgz" --no-same-owner --strip-components 1 -C "$to.new" &&
    echo 'prefix=/usr/local' >"$to.new/npmrc" && mv "$to.new" "$to" &&
    ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm &&
    ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx ||
    apt install -y --no-install-recommends npm || return 1
  rm -rf "$kept/npm.tgz" "$to.new"
}

# A Python environment of the agent's own, with pip and uv, made from the Python that the inventory names, or the image's.
# It is in the agent's home, which outlives the layer: one that was made from another Python is laid aside, and taken up
# again with that one.
python_environment() {
  if [ -f "$folder/pip.conf" ] && [ ! -e /etc/pip.conf ]; then cp "$folder/pip.conf" /etc/pip.conf || return 1; fi
  # shellcheck disable=SC2016
  (become sh -c '
    cd "$HOME" || exit 1
    python=$(PATH=/usr/bin:/bin:/usr/local/bin && command -v "$1") || { echo "there is no $1 in this image"; exit 1; }
    is=$(sed -n "s/^version *= *\([0-9]*\.[0-9]*\).*/\1/p" .venv/pyvenv.cfg 2>/dev/null)
    now=$("$python" -c "import sys; print(\"%d.%d\" % sys.version_info[:2])") || exit 1
    if [ -e .venv ] && [ "$is" != "$now" ]; then
      aside=.venv-${is:-unknown}
      while [ -e "$aside" ]; do aside=$aside.old; done
      echo "proxhermes: ~/.venv is of Python ${is:-unknown}, and the one that is meant is $now: laid aside as ~/$aside"
      mv .venv "$aside" || exit 1
    fi
    if [ ! -e .venv ] && [ -e ".venv-$now" ]; then
      echo "proxhermes: ~/.venv-$now is taken up again"
      mv ".venv-$now" .venv || exit 1
    fi
    .venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv .venv || exit 1
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install -q --disable-pip-version-check --retries 2 --timeout 30 uv
  ' python_environment "${agent_venv_python:-python3}")
}

# Whether all that is wanted was provisioned into this layer. What is wanted no longer stays there.
provisioned() {
  [ -f "$kept/provisioned" ] || return 1
  [ "$(cat "$kept/venv" 2>/dev/null || echo python3)" = "${agent_venv_python:-python3}" ] || return 1
  there=" $(cat "$kept/provisioned") "
  # shellcheck disable=SC2086 # one word a package
  for package in 1 $agent_packages; do
    case $there in *" $package "*) ;; *) return 1 ;; esac
  done
}

# Once for each layer and list of packages. A failure is told, kept for whoever looks, and made good by the next start:
# it does not keep the gateway down.
provision() {
  mkdir -p "$kept" || return 0
  if provisioned; then return 0; fi
  if ! have apt-get; then
    echo "no apt-get in this image: nothing is provisioned" >"$kept/failed"
    say "$(cat "$kept/failed")"
    return 0
  fi
  say "provisioning, once: $agent_packages, npm, a Python environment, uv"
  if packages >"$kept/log" 2>&1 && surroundings && node_packages >>"$kept/log" 2>&1 && python_environment >>"$kept/log" 2>&1; then
    grep '^proxhermes: ' "$kept/log" >&2
    echo "${agent_venv_python:-python3}" >"$kept/venv"
    echo "1 $agent_packages" >"$kept/provisioned.new" && mv "$kept/provisioned.new" "$kept/provisioned"
    rm -f "$kept/failed"
    apt clean
    say 'provisioned'
  else
    grep -v '^ *$' "$kept/log" | tail -n 5 >"$kept/failed"
    say "provisioning failed, and will be tried again at the next start: $(cat "$kept/failed")"
  fi
}

case ${1:-} in
  exec)
    shift
    surroundings
    become "$@"
    ;;
  health)
    exec "$agent_code/bin/python" -I -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=int(sys.argv[2]))' \
      "http://127.0.0.1:$agent_api_port/health" "$agent_health_timeout"
    ;;
esac
identify
rights || say 'the rights of the agent'"'"'s folders could not be set'
sudoer || say 'sudo could not be set up for the agent'
surroundings
proxy
provision
surroundings
cd "$agent_cwd" 2>/dev/null || cd "$HOME" || exit 1
umask 0027
eval "set -- $agent_command"
become "$@"
