#!/bin/sh
# No container engine: the packages alone. Read in by guest-engine.sh, which says what each function is for.

engine_before() { :; }

engine_repository() { fail 'there is no engine to have packages of its own'; }

# A name that only other packages provide would be installed again by every run.
engine_after() {
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "${name%%=*}" 2>/dev/null)" = installed ] ||
      fail "$name is not the name of a package itself, but something that packages provide; name one of those"
  done
}
