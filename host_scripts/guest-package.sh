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

# reason WORDS: why it fails, for package_failed.
reason() { printf '%s\n' "$*" >"$here/reason"; }

# package_python FOLDER: an environment with pip in it, on a Python of this system's or one that is downloaded. venv
# refuses a link, and writes its own path down where nobody looks: into what a shell would read in, and into a remark.
package_python() {
  if [ -n "$python_url" ]; then
    package_download "$versions/.building/python" && package_venv "$1" "$versions/.building/python/bin" || return 1
  else
    "${python_path:-python3}" -m venv --without-pip "$versions/.building" &&
      sed -i "s|$versions/.building|$1|" "$versions/.building/pyvenv.cfg" &&
      rm -f "$versions"/.building/bin/[Aa]ctivate* || return 1
  fi
  "$1/bin/python" -m ensurepip
}

# package_download FOLDER: the Python that package.sh names by its hash.
package_download() {
  echo "downloading $python_url"
  curl -fsSL --retry 3 --connect-timeout 30 -m 1800 -o "$TMPDIR/python.tar.gz" "$python_url" || {
    reason "Python could not be downloaded from $python_url"
    return 1
  }
  found=$(sha256sum <"$TMPDIR/python.tar.gz")
  [ "${found%% *}" = "$python_sha256" ] || {
    reason "the Python at $python_url has the SHA-256 ${found%% *}, and not $python_sha256"
    return 1
  }
  mkdir "$1" && tar -C "$1" --no-same-owner --strip-components=1 -xzf "$TMPDIR/python.tar.gz" && rm "$TMPDIR/python.tar.gz"
}

# package_venv FOLDER PROGRAMS: the environment that `venv` makes, which itself takes no link, as FOLDER still is one; on
# the Python in PROGRAMS, which is $versions/.building/python/bin.
package_venv() {
  found=$(find "$2" -name 'python3.[0-9]*' ! -name '*-config' | head -n 1)
  version=${found##*/python}
  mkdir -p "$versions/.building/bin" "$versions/.building/lib/python$version/site-packages" || return 1
  printf 'home = %s/python/bin\ninclude-system-site-packages = false\nversion = %s\n' "$1" "$version" \
    >"$versions/.building/pyvenv.cfg"
  ln -s "../python/bin/python$version" "$versions/.building/bin/python$version" || return 1
  ln -s "python$version" "$versions/.building/bin/python" && ln -s "python$version" "$versions/.building/bin/python3"
}

# package_finish FOLDER: what is left to do once all is installed.
package_finish() { :; }

# python_prove FOLDER: its Python and all its extensions need nothing that is outside of it.
python_prove() { "$1/bin/python" -I "$here/python-prove.py" "$1"; }

# What pip and git have to know of this place's network, where the whole system is told so. pip.conf it finds by itself.
package_surroundings() {
  HOME=/root TMPDIR=$versions/.building.tmp PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
  GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND='ssh -o BatchMode=yes'
  export HOME TMPDIR PIP_NO_INPUT PIP_DISABLE_PIP_VERSION_CHECK GIT_TERMINAL_PROMPT GIT_SSH_COMMAND
  system_environment
}

# Leaves nothing of a version that did not get its name.
package_sweep() {
  for left in "$versions"/*; do
    if [ -L "$left" ]; then rm -f "$left"; fi
  done
  rm -rf "$versions/.building" "$versions/.building.tmp" "$versions/.image/files" "$versions/.image/root"
}

# package_failed WORDS: with the reason, if one is known, and the last that the tools said; what runs now goes on running.
package_failed() {
  grep -v '^ *$' "$here/build.log" | tail -n 15 >&2 || true
  sed -n "s/.* requires a different Python: \([0-9.]*\) not in '\([^']*\)'.*/the agent needs Python \2, and this is \1/p" \
    "$here/build.log" | head -n 1 | cut -c 1-200 >>"$here/reason"
  said=$(head -n 1 "$here/reason")
  package_sweep
  fail "${said:-$1}; the version that runs was left alone"
}

# package_source FOLDER: the files of one commit of a git repository, in there.
package_source() {
  {
    git init -q "$1" && git -C "$1" remote add origin "$package_subject" &&
      # Not every server gives a commit that is asked for by its name; those are asked for everything.
      { git -C "$1" fetch -q --depth 1 origin "$package_commit" || git -C "$1" fetch -q --tags origin; } &&
      git -C "$1" -c advice.detachedHead=false checkout -q "$package_commit"
  } >>"$here/build.log" 2>&1
}

# package_editable FOLDER: the agent runs from FOLDER/source, which setuptools writes down as the folder that it is built
# in. From 0.20 on Hermes refuses to be built as a wheel, which would lack its skills (its setup.py).
package_editable() {
  find "$versions/.building/lib" -name '__editable__*' -type f -exec sed -i "s|$versions/.building/|$1/|g" {} + || return 1
  package_stamp "$1/source" || echo 'the source got no stamp: it will not say its version'
  rm -rf "$versions/.building/source/.git" "$versions"/.building/lib/python3*/site-packages/__pycache__/__editable__*
  "$1/bin/python" -m compileall -q -j 2 "$1/source" >/dev/null || true # a template is not a module
}

# package_stamp SOURCE: from 0.22 on a source knows its version, and that others update it, from git or from a file that it
# writes itself.
package_stamp() {
  stamp=$1/scripts/write_install_stamp.py release=${package_ref#v}
  [ -f "$stamp" ] || return 0
  set -- "$1" --output "$1/install-stamp.json" --commit "$package_commit" --source git --update-mechanism external
  if printf '%s\n' "$release" | grep -qx '[0-9]\{1,3\}\(\.[0-9]\{1,3\}\)\{2\}'; then
    set -- "$@" --base-version "$release" --distance 0
  fi
  source=$1
  shift
  (cd "$source" && "${source%/*}/bin/python" -I "$stamp" "$@")
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

# package_install FOLDER: with hashes, what the file has and nothing else; then the agent itself has to be content with it.
package_install() {
  set -- "$1/bin/python" -m pip install --quiet --progress-bar off --no-warn-script-location
  if [ ! -f package.hashes ]; then
    "$@" -r package.requirements
  else
    "$@" --require-hashes -r package.hashes || return 1
    PIP_CONFIG_FILE=/dev/null "$@" --isolated --no-index --no-build-isolation -r package.requirements || {
      reason 'package.require_hashes does not have all that the agent, its extras and packages need'
      return 1
    }
  fi
}

# package_from_pip FOLDER: an environment with what pip makes of package.requirements.
package_from_pip() {
  if [ "$package_source" = git ]; then
    PACKAGE_FOLDER=$1
    export PACKAGE_FOLDER # for pip, in package.requirements
    package_source "$versions/.building/source" ||
      package_failed "the commit $package_commit of $package_subject could not be fetched"
  fi
  package_python "$1" >>"$here/build.log" 2>&1 || package_failed 'the environment could not be made'
  package_install "$1" >>"$here/build.log" 2>&1 || package_failed 'pip could not install the agent'
  if [ "$package_source" = git ]; then
    package_editable "$1" >>"$here/build.log" 2>&1 || package_failed 'the source could not be put in place'
  fi
  package_finish "$1" >>"$here/build.log" 2>&1 || package_failed 'the environment could not be completed'
}

# package_note FOLDER: what is remembered of it. skills: those that Hermes finds beside its code (tools/skills_sync.py).
package_note() {
  skills=$(find "$1/hermes/skills" "$1/source/skills" "$1"/lib/python3*/site-packages/skills -name SKILL.md 2>/dev/null | wc -l)
  printf '%s=%s\n' id "$package_id" source "$package_source" subject "$package_subject" ref "$package_ref" \
    commit "$package_commit" code "$(package_code "$1")" skills "$skills" >"$1/.proxhermes-package"
  [ "$skills" != 0 ] || echo "note: this package brings no bundled skills; the official image does (runtime.package.image)"
}

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
    : >"$here/reason"
    package_surroundings
    case $package_source in
      image) package_from_image "$target" ;;
      *) package_from_pip "$target" ;;
    esac
    package_prove "$target" || package_failed 'the new version does not run'
    package_note "$target"
    rm -rf "$versions/.building.tmp" "$versions/.image"
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
  rm -rf "$versions"/.old.* "$versions/.image"
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
  sed -n 's/^\(subject\|ref\|commit\|skills\)=/service.package_\1=/p' "$project/current/.proxhermes-package" 2>/dev/null || true
  fact service.architecture "$(dpkg --print-architecture 2>/dev/null || true)"
  have python3 && fact service.python "$(python3 -I -c 'import platform; print(platform.python_version())' 2>/dev/null || true)"
  case $asked_kind in
    git) package_ask git package_ask_git ;;
    image) package_ask skopeo package_ask_registry ;;
  esac
}

package_verify() {
  ask package 20 readlink "$project/current"
  sed -n 's/^skills=//p' "$project/current/.proxhermes-package" 2>/dev/null | put bundled_skills
}

# package_ask TOOL FUNCTION: the fact KIND_told is what FUNCTION prints, and KIND_error why it could not; neither without TOOL.
package_ask() {
  have "$1" || return 0
  if "$2" >"$here/told" 2>"$here/told.err"; then
    fact "service.${asked_kind}_told" "$(cat "$here/told")"
  else
    fact "service.${asked_kind}_error" "$(grep -v '^ *$' "$here/told.err" | tail -n 1 | cut -c 1-500)"
  fi
}

package_ask_git() {
  # A tag that is an object of its own has its commit under its name with ^{}, which then comes last.
  (package_surroundings && timeout 20 git ls-remote "$asked_subject" "$asked_ref" "$asked_ref^{}") >"$here/refs" || return 1
  awk -v ref="$asked_ref" \
    '$2 == "refs/heads/" ref || $2 == "refs/tags/" ref || $2 == "refs/tags/" ref "^{}" { found = $1 } END { print found }' "$here/refs"
}
