#!/bin/sh
# Remove a destroyed container's host folders with everything in them.
#
#   sh host-purge.sh FIRST-LAST[,FIRST-LAST]... FOLDER...
#
# A folder is left alone, saying why, if a symbolic link leads to it, if it is a mount point or has one below it, if any
# container of the cluster still has it (or something above or below it) bound, or if its owner is none of the node's
# users FIRST to LAST, that is none of the container that is gone. Links inside are removed, never followed.
set -eu

ranges=$1
shift
left=0

leave() {
	printf 'left: %s: %s\n' "$1" "$2"
	left=1
}

# Step into the folder's parent without following a link. 1: a link or nothing on the way.
enter_parent() {
	cd -P /
	rest=${1#/}
	way=
	while :; do
		case $rest in
		*/*) ;;
		*) return 0 ;;
		esac
		part=${rest%%/*}
		rest=${rest#*/}
		way=$way/$part
		[ ! -L "./$part" ] && [ -d "./$part" ] || return 1
		cd -P "./$part"
		[ "$(pwd -P)" = "$way" ] || return 1
	done
}

# Whether $1 is, or has below it, a mount point.
mounted_below() {
	awk -v path="$1" '$5 == path || index($5, path "/") == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# The containers that have $1, or a folder above or below it, bound.
users() {
	for file in /etc/pve/nodes/*/lxc/*.conf; do
		[ -r "$file" ] || continue
		sed -n -e 's|^mp[0-9]*:[ ]*\(/[^,]*\).*$|\1|p' -e 's|^lxc\.mount\.entry[:=][ ]*\(/[^ ]*\).*$|\1|p' "$file" |
			awk -v path="$1" -v file="${file##*/}" '
				$0 == path || index($0, path "/") == 1 || index(path, $0 "/") == 1 { found = 1 }
				END { if (found) { sub(/\.conf$/, "", file); print file } }
			'
	done | sort -u | tr '\n' ' '
}

mapped() {
	echo "$ranges" | tr ',' '\n' | awk -F- -v id="$1" 'id >= $1 && id <= $2 { found = 1 } END { exit !found }'
}

purge() {
	name=${1##*/}
	if ! enter_parent "$1" || [ -L "./$name" ]; then
		if [ -e "$1" ] || [ -L "$1" ]; then
			leave "$1" "a symbolic link leads to it"
		else
			printf 'absent: %s\n' "$1"
		fi
		return 0
	fi
	if [ ! -e "./$name" ]; then
		printf 'absent: %s\n' "$1"
		return 0
	fi
	using=$(users "$1")
	owner=$(stat -c '%u' "./$name")
	if [ ! -d "./$name" ]; then
		leave "$1" "it is not a directory"
	elif mounted_below "$1"; then
		leave "$1" "it is a mount point, or has one below it"
	elif [ -n "$using" ]; then
		leave "$1" "container ${using% } uses it"
	elif ! mapped "$owner"; then
		leave "$1" "it belongs to user $owner of the node, not to the container"
	else
		rm -rf --one-file-system -- "./$name"
		printf 'changed: removed %s\n' "$1"
	fi
	cd /
}

for path in "$@"; do
	purge "$path"
done
exit "$left"
