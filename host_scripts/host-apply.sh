#!/bin/sh
# Prepare a container's host folders, then set what only root may set on the container.
#
#   sh host-apply.sh [folder PATH UID GID MODE]... [run COMMAND [ARGUMENT]...]
#
# folder: make PATH if it is missing, its missing parents as root's own with mode 0755; give it to UID:GID of the node
#         and set MODE ("-": leave it). Only the named folder is changed: nothing in it, no parent, and no symbolic link
#         is ever followed, neither at its end nor on the way.
# run:    the last thing: one command, as it stands.
#
# Prints a line `changed: ...` for each change. Doing it again changes nothing.
set -eu
umask 022

fail() {
	printf 'host-apply.sh: %s\n' "$1" >&2
	exit 1
}

# Step into PATH from / part by part, so that no link on the way, and none put there meanwhile, leads elsewhere.
enter() {
	cd -P /
	rest=${1#/}
	way=
	while [ -n "$rest" ]; do
		part=${rest%%/*}
		case $rest in
		*/*) rest=${rest#*/} ;;
		*) rest= ;;
		esac
		way=$way/$part
		[ ! -L "./$part" ] || fail "$way is a symbolic link"
		if [ ! -e "./$part" ]; then
			mkdir "./$part"
			printf 'changed: made %s\n' "$way"
		fi
		[ -d "./$part" ] || fail "$way is not a directory"
		cd -P "./$part"
		[ "$(pwd -P)" = "$way" ] || fail "$way leads to $(pwd -P)"
	done
}

folder() {
	enter "$1"
	if [ "$(stat -c '%u:%g' .)" != "$2:$3" ]; then
		chown -h "$2:$3" . || fail "$1 cannot be given to $2:$3; on a network storage that has to be done on its server"
		[ "$(stat -c '%u:%g' .)" = "$2:$3" ] || fail "the file system of $1 keeps no owners"
		printf 'changed: %s belongs to %s:%s\n' "$1" "$2" "$3"
	fi
	if [ "$4" != - ] && [ "$(stat -c '%a' .)" != "$4" ]; then
		chmod "$4" .
		printf 'changed: %s has mode %s\n' "$1" "$4"
	fi
	cd /
}

while [ $# -gt 0 ]; do
	case $1 in
	folder)
		[ $# -ge 5 ] || fail "folder needs PATH UID GID MODE"
		folder "$2" "$3" "$4" "$5"
		shift 5
		;;
	run)
		shift
		"$@"
		printf 'changed: %s\n' "$*"
		exit 0
		;;
	*) fail "unknown word: $1" ;;
	esac
done
