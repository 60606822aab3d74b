#!/bin/sh
# The agent's own code as an environment of its own: built, proven, switched. Read in as a part of runtime.sh.
#
#   package_build    build the version that package.sh (see hermes/package.py) names, unless it is there
#   package_switch   make it the current one; the one before it becomes the previous one, if a gateway was up with it
#   package_up       the gateway is up with the current one: now what is neither current nor previous goes
#   package_facts    tell which version is the current one, and what git's ref stands for
#
# Versions lie in $project/versions, root's own. A version has its name only when it is complete and has run; until then
# the name is a link to the folder where it is built, for an environment must be made at the path that it is used at.
# A script that is read in after this one may define package_python and package_finish otherwise.
# shellcheck disable=SC2154 # agent.sh and package.sh assign these names

versions=$project/versions
surroundings=/etc/environment

# package_python FOLDER: an environment with pip in it, which takes its Python from this system. venv refuses a link, and
# writes its own path down where nobody looks: into what a shell would read in, and into a remark.
package_python() {
  python3 -m venv --without-pip "$versions/.building" &&
    sed -i "s|$versions/.building|$1|" "$versions/.building/pyvenv.cfg" &&
    rm -f "$versions"/.building/bin/[Aa]ctivate* &&
    "$1/bin/python" -m ensurepip
}

# package_finish FOLDER: what is left to do once all is installed.
package_finish() { :; }

# What pip and git have to know of this place's network, where the whole system is told so. pip.conf it finds by itself.
package_surroundings() {
  HOME=/root TMPDIR=$versions/.building.tmp PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
  GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND='ssh -o BatchMode=yes'
  export HOME TMPDIR PIP_NO_INPUT PIP_DISABLE_PIP_VERSION_CHECK GIT_TERMINAL_PROMPT GIT_SSH_COMMAND
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

# Leaves nothing of a version that did not get its name.
package_sweep() {
  for left in "$versions"/*; do
    if [ -L "$left" ]; then rm -f "$left"; fi
  done
  rm -rf "$versions/.building" "$versions/.building.tmp"
}

# package_failed WORDS: with the last that the tools said; what runs now goes on running.
package_failed() {
  grep -v '^ *$' "$here/build.log" | tail -n 15 >&2 || true
  package_sweep
  fail "$1; the version that runs was left alone"
}

# The files of one commit of a git repository, in ./source.
package_source() {
  {
    git init -q source && git -C source remote add origin "$package_subject" &&
      # Not every server gives a commit that is asked for by its name; those are asked for everything.
      { git -C source fetch -q --depth 1 origin "$package_commit" || git -C source fetch -q --tags origin; } &&
      git -C source -c advice.detachedHead=false checkout -q "$package_commit"
  } >>"$here/build.log" 2>&1
}

# package_prove FOLDER: it runs, as the agent, without any home of its own.
package_prove() {
  scratch_home=$(as_agent mktemp -d /tmp/proxhermes.XXXXXX) || return 1
  rc=0
  (cd / && as_agent env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$scratch_home" HERMES_HOME="$scratch_home" \
    timeout 120 "$1/bin/hermes" --version) >"$here/proof" 2>&1 || rc=$?
  as_agent rm -rf "$scratch_home"
  cat "$here/proof" >>"$here/build.log"
  [ "$rc" = 0 ] && grep -q '^Hermes Agent v' "$here/proof"
}

# package_code FOLDER: what its code says of itself (see code_ask), to the agent, in a home that is empty.
package_code() (
  empty_home=$(as_agent mktemp -d /tmp/proxhermes.XXXXXX) || return 0
  trap 'as_agent rm -rf "$empty_home"' EXIT
  cd /
  code_ask setpriv --reuid "$uid" --regid "$gid" --clear-groups env -i PATH=/usr/bin:/bin HOME="$empty_home" \
    HERMES_HOME="$empty_home" "$1/bin/python"
)

package_build() {
  [ -f "$here/package.sh" ] || return 0
  # shellcheck source=/dev/null
  . "$here/package.sh"
  target=$versions/$package_id
  if [ -d "$target" ] && [ ! -L "$target" ]; then return 0; fi
  echo "building $package_id"
  install -d -m 0755 "$project" "$versions"
  (
    umask 022
    package_sweep
    install -d -m 0755 "$versions/.building"
    install -d -m 0700 "$versions/.building.tmp"
    ln -sT .building "$target"
    : >"$here/build.log"
    package_surroundings
    if [ "$package_source" = git ]; then
      package_source || package_failed "the commit $package_commit of $package_subject could not be fetched"
    fi
    package_python "$target" >>"$here/build.log" 2>&1 || package_failed 'the environment could not be made'
    "$target/bin/python" -m pip install --quiet --progress-bar off --no-warn-script-location \
      -r package.requirements >>"$here/build.log" 2>&1 || package_failed 'pip could not install the agent'
    package_finish "$target" >>"$here/build.log" 2>&1 || package_failed 'the environment could not be completed'
    package_prove "$target" || package_failed 'the new version does not run'
    printf 'id=%s\nsource=%s\nsubject=%s\nref=%s\ncommit=%s\ncode=%s\n' "$package_id" "$package_source" \
      "$package_subject" "$package_ref" "$package_commit" "$(package_code "$target")" >"$target/.proxhermes-package"
    rm -rf "$versions/.building.tmp"
    sync -f "$versions"
    rm "$target"
    mv -T "$versions/.building" "$target"
    sync "$versions"
  )
  echo "changed: $target: $(head -n 1 "$here/proof")"
}

# package_link NAME VERSION: the links are relative, for a container may see them under the same path and no other.
package_link() {
  ln -sfnT "versions/$2" "$project/.$1.new"
  mv -fT "$project/.$1.new" "$project/$1"
}

package_now() { basename "$(readlink "$project/$1" 2>/dev/null)" 2>/dev/null || true; }

package_switch() {
  [ -f "$here/package.sh" ] || return 0
  # shellcheck source=/dev/null
  . "$here/package.sh"
  now=$(package_now current)
  [ "$now" != "$package_id" ] || return 0
  # The way back leads to one that worked, however many after it did not.
  if [ -n "$now" ] && [ -e "$versions/$now/.proxhermes-up" ]; then package_link previous "$now"; fi
  package_link current "$package_id"
  sync "$project"
  echo "changed: $project/current: ${now:-nothing} -> $package_id"
}

package_up() {
  now=$(package_now current)
  [ -n "$now" ] || return 0
  : >"$versions/$now/.proxhermes-up"
  package_prune
}

# What neither runs nor is kept for a way back.
package_prune() {
  for version in "$versions"/*; do
    name=${version##*/}
    case $name in "*" | "$(package_now current)" | "$(package_now previous)") continue ;; esac
    # Its libraries are in the memory of whatever still runs from there, in whichever container.
    if grep -qsF "$version/" /proc/[0-9]*/maps; then continue; fi
    mv -T "$version" "$versions/.old.$name" # a name that is half removed must never be taken for a version
    echo "changed: $version: removed"
  done
  rm -rf "$versions"/.old.*
}

# Every version that is whole, with what its code said of itself when it was built.
package_codes() {
  for version in "$versions"/*; do
    if [ -L "$version" ] || [ ! -f "$version/.proxhermes-package" ]; then continue; fi
    code=$(sed -n 's/^code=//p' "$version/.proxhermes-package")
    [ -n "$code" ] || code=$(package_code "$version")
    [ -z "$code" ] || echo "${version##*/} $code"
  done
}

package_facts() {
  fact service.package "$(package_now current)"
  sed -n 's/^\(subject\|ref\|commit\)=/service.package_\1=/p' "$project/current/.proxhermes-package" 2>/dev/null || true
  [ -n "$package_url" ] && have git || return 0
  # A tag that is an object of its own has its commit under its name with ^{}, which then comes last.
  if (package_surroundings && timeout 20 git ls-remote "$package_url" "$package_ref" "$package_ref^{}") >"$here/refs" 2>"$here/refs.err"; then
    fact service.git_commit "$(awk -v ref="$package_ref" \
      '$2 == "refs/heads/" ref || $2 == "refs/tags/" ref || $2 == "refs/tags/" ref "^{}" { found = $1 } END { print found }' "$here/refs")"
  else
    fact service.git_error "$(tail -n 1 "$here/refs.err")"
  fi
}
