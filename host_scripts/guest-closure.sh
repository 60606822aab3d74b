#!/bin/sh
# An environment with an interpreter of its own, which needs nothing of the system that it runs in: not its Python, not
# its C library, not even that it has one. Read in after guest-package.sh, of which it defines two functions otherwise.
#
# The guest's Python, its standard library and every shared library that it and the agent's packages use are copied into
# FOLDER/python. The copied interpreter names the copied loader, and as its DT_RPATH, which all that it loads inherits,
# the copied libraries: no LD_LIBRARY_PATH, which the agent's own children would inherit, too.
# shellcheck disable=SC2154 # guest-package.sh assigns `versions`

# package_python FOLDER: an environment with pip in it, on a copy of the guest's Python. It is what `venv` makes, which
# itself takes no link, as FOLDER still is one.
package_python() {
  have patchelf || fail 'patchelf is not installed'
  version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') || return 1
  library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') || return 1
  root=$versions/.building/python
  mkdir -p "$root/bin" "$root/lib/python$version" || return 1
  cp -L "/usr/bin/python$version" "$root/bin/" || return 1
  # Neither tests nor what draws windows or builds extensions; what links out of the folder is the system's own business.
  tar -C "$library" --exclude=./test --exclude=./idlelib --exclude=./tkinter --exclude=./turtledemo --exclude='./config-*' \
    --exclude=./EXTERNALLY-MANAGED --exclude=./sitecustomize.py -cf - . | tar -C "$root/lib/python$version" -xf - || return 1
  closure_collect "$root" || return 1
  loader=$(patchelf --print-interpreter "$root/bin/python$version") || return 1
  loader=$(closure_copy "$loader" "$root/lib") || return 1
  # One after the other, and in this order: otherwise patchelf (0.18) makes a file of Debian's that crashes.
  # shellcheck disable=SC2016 # it is the loader that knows what $ORIGIN is
  patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$root/bin/python$version" || return 1
  patchelf --set-interpreter "$1/python/lib/$loader" "$root/bin/python$version" || return 1
  mkdir -p "$versions/.building/bin" "$versions/.building/lib/python$version/site-packages" || return 1
  printf 'home = %s/python/bin\ninclude-system-site-packages = false\nversion = %s\n' "$1" "$version" \
    >"$versions/.building/pyvenv.cfg"
  ln -s "../python/bin/python$version" "$versions/.building/bin/python$version" || return 1
  ln -s "python$version" "$versions/.building/bin/python" || return 1
  ln -s "python$version" "$versions/.building/bin/python3" || return 1
  "$1/bin/python" -m ensurepip
}

# package_finish FOLDER: what the packages need beside Python itself; and whether it now needs nothing else.
package_finish() {
  closure_collect "$versions/.building" || return 1
  closure_inherit "$versions/.building/lib" || return 1
  # What reads certificates by their usual place finds none in an image that has none.
  cp -L /etc/ssl/certs/ca-certificates.crt "$versions/.building/python/ca-certificates.crt" || return 1
  "$1/bin/python" -m compileall -q -j 2 "$versions/.building/python/lib" >/dev/null || true # a template is no module
  closure_prove "$1"
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

# closure_prove FOLDER: every object of the environment, loaded for real, draws in nothing from outside of it.
closure_prove() {
  cat >"$here/prove.py" <<'PYTHON'
import ctypes, pathlib, ssl, sqlite3, sys  # the two are what is missing first

root = pathlib.Path(sys.prefix).resolve()
failed = []
for path in sorted(pathlib.Path(sys.prefix).rglob("*.so*")):
    if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF":
        try:
            ctypes.CDLL(str(path))
        except OSError as error:
            failed.append(str(error))
maps = pathlib.Path("/proc/self/maps").read_text().split("\n")
loaded = {line.split(maxsplit=5)[5] for line in maps if line.count(" /") and ".so" in line}
outside = sorted(name for name in loaded if not pathlib.Path(name).resolve().is_relative_to(root))
print("outside of the environment:", *outside, "\n", *failed, sep="\n  ")
sys.exit(bool(outside))
PYTHON
  "$1/bin/python" -I "$here/prove.py"
}
