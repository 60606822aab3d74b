#!/bin/sh
# The container engine in the guest: install it, configure it, have it run. Runs as root there; safe to run again.
#
#   guest-engine.sh none|distro|docker-ce [PACKAGE...]
#
# none: install nothing but the named packages; distro: the named packages; docker-ce: Docker's own repository, its key
# checked by fingerprint, then the named packages. engine.sh beside this script is one of guest-engine-*.sh, which define
#
#   engine_before       what comes before the packages
#   engine_after NAME... configured and running, with these packages, or fail
#   engine_repository   trust the engine's own packages
#
# Prints `changed: ...` for what it changed; everything else that it prints is progress.
set -eu
cd "$(dirname "$0")"
# shellcheck source=host_scripts/guest-common.sh
. ./guest-common.sh
# shellcheck source=host_scripts/guest-apt.sh
. ./guest-apt.sh
# shellcheck source=host_scripts/guest-engine-docker.sh
. ./engine.sh

source=$1
shift
umask 022
apt_settings
mend
engine_before
case $source in
  none | distro) ;;
  docker-ce) engine_repository ;;
  *) fail "usage: guest-engine.sh none|distro|docker-ce [PACKAGE...]" ;;
esac
if [ "$#" -gt 0 ]; then
  packages "$@"
  echo "changed: packages: $*"
fi
engine_after "$@"
