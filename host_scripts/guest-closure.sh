#!/bin/sh
# An environment with an interpreter of its own, which needs nothing of the system that it runs in: not its Python, not
# its C library, not even that it has one. Read in after guest-package.sh, of which it defines two functions otherwise.
#
# The guest's Python, its standard library and every shared library that it and the agent's packages use are copied into
# FOLDER/python. The copied interpreter names the copied loader, and as its DT_RPATH, which all that it loads inherits,
# the copied libraries: no LD_LIBRARY_PATH, which the agent's own children would inherit, too.
# shellcheck disable=SC2154 # guest-package.sh assigns `versions`

# package_python FOLDER: an environment with pip in it, on a copy of a Python of the guest's, or on one that is downloaded.
package_python() {
  have patchelf || fail 'patchelf is not installed'
  root=$versions/.building/python
  if [ -n "$python_url" ]; then package_download "$root" || return 1; else closure_python "$root" || return 1; fi
  package_venv "$1" "$root/bin" || return 1
  closure_collect "$root" || return 1
  loader=$(patchelf --print-interpreter "$root/bin/python$version") || return 1
  loader=$(closure_copy "$loader" "$root/lib") || return 1
  # One after the other, and in this order: otherwise patchelf (0.18) makes a file of Debian's that crashes.
  # shellcheck disable=SC2016 # it is the loader that knows what $ORIGIN is
  patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$root/bin/python$version" || return 1
  patchelf --set-interpreter "$1/python/lib/$loader" "$root/bin/python$version" || return 1
  "$1/bin/python" -m ensurepip
}

# closure_python FOLDER: a copy of the guest's Python and its standard library.
closure_python() {
  python=$(command -v "${python_path:-python3}") || return 1
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || return 1
  library=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') || return 1
  mkdir -p "$1/bin" "$1/lib/python$version" || return 1
  cp -L "$("$python" -c 'import sys; print(sys._base_executable)')" "$1/bin/python$version" || return 1
  # Neither tests nor what draws windows or builds extensions; what links out of the folder is the system's own business.
  tar -C "$library" --exclude=./test --exclude=./idlelib --exclude=./tkinter --exclude=./turtledemo --exclude='./config-*' \
    --exclude=./EXTERNALLY-MANAGED --exclude=./sitecustomize.py -cf - . | tar -C "$1/lib/python$version" -xf -
}

# package_finish FOLDER: what the packages need beside Python itself; and whether it now needs nothing else.
package_finish() {
  closure_collect "$versions/.building" || return 1
  closure_inherit "$versions/.building/lib" || return 1
  # What reads certificates by their usual place finds none in an image that has none.
  cp -L /etc/ssl/certs/ca-certificates.crt "$versions/.building/python/ca-certificates.crt" || return 1
  "$1/bin/python" -m compileall -q -j 2 "$versions/.building/python/lib" >/dev/null || true # a template is no module
  python_prove "$1"
}

# closure_copy FILE FOLDER: under the name that it is asked for by; prints it.
closure_copy() {
  name=${1##*/}
  [ -e "$2/$name" ] || install -m 0755 "$1" "$2/$name" || return 1
  echo "$name"
}

# closure_objects FOLDER: its ELF files, of which every extension and every library of a wheel is one.
closure_objects() {
  find "$1" -type f \( -name '*.so' -o -name '*.so.*' -o -path '*/bin/*' \) -exec \
    sh -c 'for file; do [ "$(head -c 4 "$file" | tr -d "\177")" = ELF ] && printf "%s\n" "$file"; done; true' sh {} +
}

# closure_collect FOLDER: the system's libraries that the objects in there are linked to, and those of the system's that
# these are. libgcc_s is never linked to, and loaded when a thread is cancelled.
closure_collect() {
  {
    closure_objects "$1" | while IFS= read -r object; do ldd "$object" 2>/dev/null || true; done |
      sed -n 's/^[^/]*=> \(\/.*\) (0x.*/\1/p'
    ldconfig -p | sed -n 's/^\tlibgcc_s\.so\.1 .* => //p' | head -n 1
  } | sort -u >"$here/libraries" || return 1
  while IFS= read -r needed; do
    case $needed in "$versions"/*) continue ;; esac
    closure_copy "$needed" "$versions/.building/python/lib" >/dev/null || return 1
  done <"$here/libraries"
}

# closure_inherit FOLDER: an object with a DT_RUNPATH of its own does not inherit the interpreter's path: it is given the
# same as a DT_RPATH, which is looked at first and does not end the search.
closure_inherit() {
  closure_objects "$1" >"$here/objects" || return 1
  while IFS= read -r object; do
    path=$(patchelf --print-rpath "$object" 2>/dev/null) || continue
    [ -z "$path" ] || patchelf --force-rpath --set-rpath "$path" "$object" || return 1
  done <"$here/objects"
}
