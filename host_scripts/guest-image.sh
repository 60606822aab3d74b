#!/bin/sh
# The agent's code out of its image, which is fetched and never run. Read in after guest-package.sh, for the runtimes
# that have such a version; guest-image.py does what is to be done with files.
#
# What was fetched is kept in $versions/.image until its version is there: a run that was interrupted fetches the rest.
# shellcheck disable=SC2154 # agent.sh and package.sh assign these names

image_store=$versions/.image
image_seconds=3000

# registry SECONDS ARGUMENT...: skopeo, with this place's mirrors and logins. Only the reason of a failure is told.
registry() (
  seconds=$1
  shift
  package_surroundings
  if [ -n "$registries" ]; then
    printf '%s' "$registries" >"$here/registries.conf"
    set -- --registries-conf "$here/registries.conf" "$@"
  fi
  if [ -f "$here/registry-auth.json" ]; then
    REGISTRY_AUTH_FILE=$here/registry-auth.json
    export REGISTRY_AUTH_FILE
  fi
  rc=0
  timeout "$seconds" skopeo "$@" 2>"$here/skopeo.err" || rc=$?
  [ "$rc" != 0 ] || return 0
  [ "$rc" != 124 ] || echo "no answer within $seconds s" >"$here/skopeo.err"
  # With mirrors, one line says it of each of them, and what it is about before.
  case $(tail -n 1 "$here/skopeo.err") in
    *'manifest unknown'* | *'name unknown'*) echo 'manifest unknown: the registry has no such image' ;;
    *unauthorized* | *'authentication required'*) echo 'unauthorized: the registry wants a login (runtime.registry_auth)' ;;
    *) tail -n 1 "$here/skopeo.err" | sed -e 's/.*level=fatal msg="\(.*\)"$/\1/' -e 's/\\"/"/g' | cut -c 1-400 ;;
  esac >&2
  return "$rc"
)

# The digest that a tag is today; nothing where there is no such tag.
package_ask_registry() {
  if registry 20 inspect --raw "docker://$asked_subject:$asked_ref" >"$here/manifest" 2>"$here/registry.err"; then
    echo "sha256:$(sha256sum <"$here/manifest" | cut -d ' ' -f 1)"
  elif grep -q 'manifest unknown' "$here/registry.err"; then
    echo
  else
    cat "$here/registry.err" >&2
    return 1
  fi
}

# image_do WORDS COMMAND...: what fails says so in one line, and that is the reason.
image_do() {
  what=$1
  shift
  "$@" 2>"$here/said" || {
    cat "$here/said" >>"$here/build.log"
    reason "$what: $(tail -n 1 "$here/said" | cut -c 1-400)"
    return 1
  }
}

image_python() { python3 -IB "$here/guest-image.py" "$@"; }

# image_manifest: $image_digest is this architecture's own, and $image_bytes what its layers have.
image_manifest() {
  image_digest=$package_commit
  for step in index manifest; do
    image_do "the $step of $image_name" registry 60 inspect --raw "docker://$package_subject@$image_digest" >"$here/manifest" ||
      return 1
    image_do "$image_name" image_python choose "$here/manifest" "$image_digest" "$(dpkg --print-architecture)" >"$here/chosen" ||
      return 1
    read -r word image_bytes <"$here/chosen"
    if [ "$word" = bytes ]; then return 0; fi
    image_digest=$image_bytes
  done
  reason "$image_name: an index of an index"
  return 1
}

# Fetched and unpacked, it takes about four times what is fetched; what was fetched already is there already.
image_room() {
  there=$(du -sB1 "$image_store" | cut -f 1)
  wanted=$((image_bytes * 4 - there)) free=$(df -B1 --output=avail "$versions" | tail -n 1)
  [ "$free" -gt "$wanted" ] && return 0
  reason "$image_name has $((image_bytes / 1000000)) MB, and needs about $((wanted / 1000000)) MB below $versions" \
    "until it is unpacked: there are $((free / 1000000)) MB"
  return 1
}

image_fetch() {
  if [ "$(cat "$image_store/digest" 2>/dev/null)" != "$image_digest" ]; then
    rm -rf "$image_store"
    install -d -m 0700 "$image_store"
    echo "$image_digest" >"$image_store/digest"
  fi
  rm -rf "$image_store/files" "$image_store/root" "$image_store"/layout/oci-put-blob*
  image_room || return 1
  image_do "$image_name could not be fetched" registry "$image_seconds" copy --quiet --retry-times 3 \
    "docker://$package_subject@$image_digest" "oci:$image_store/layout:image"
}

# What pip installs besides leaves all that the image brings as it is.
image_packages() {
  [ -s package.requirements ] || return 0
  "$1/bin/python" -m pip --version || "$1/bin/python" -m ensurepip || return 1
  "$1/bin/python" -m pip freeze --all | grep -x '[A-Za-z0-9._-]*==[^ ]*' >"$here/constraints"
  "$1/bin/python" -m pip install --quiet --progress-bar off --no-warn-script-location \
    -c "$here/constraints" -r package.requirements
}

image_close() { image_do "$image_name" image_python close "$image_store" "$versions/.building" "$1"; }

# package_from_image FOLDER: its code, its Python and Node, its skills; with the libraries of the image, and none of the
# system's.
package_from_image() {
  image_name=$package_subject${package_ref:+:$package_ref}
  {
    image_manifest && echo "fetching $image_name: $((image_bytes / 1000000)) MB ($package_commit)" >&3 && image_fetch
  } 3>&1 >>"$here/build.log" || package_failed "$image_name could not be fetched"
  {
    image_do "$image_name" image_python unpack "$image_store/layout" "$image_store" "$versions/.building" "$1" &&
      image_close "$1"
  } >>"$here/build.log" || image_failed "$image_name could not be unpacked"
  image_packages "$1" >>"$here/build.log" 2>&1 || image_failed 'pip could not install runtime.extra_python_packages'
  {
    # For what runs in an image that has no certificates.
    cp -L /etc/ssl/certs/ca-certificates.crt "$1/python/ca-certificates.crt" &&
      image_close "$1" && image_compile "$1/hermes/.venv/lib" "$1/hermes/.venv/lib" &&
      image_compile "$1/hermes/hermes_cli" "$1/hermes" && python_prove "$1"
  } >>"$here/build.log" 2>&1 || image_failed "what is in $image_name does not run here"
}

# image_failed WORDS: with all that was fetched, another try would end in the same way.
image_failed() {
  rm -rf "$image_store"
  package_failed "$1"
}

# image_compile LOOK FOLDER: nobody but root may write there, so nobody could keep what Python makes of a source. Many
# images have that already.
image_compile() {
  [ -z "$(find "$1" -name '*.pyc' -print -quit)" ] || return 0
  "$target/bin/python" -m compileall -q -j 2 -x /node_modules/ "$2" >/dev/null || true # a template is no module
}
