#!/bin/sh
# What the node knows about the folders that a container is to use. Reads only, changes nothing.
#
#   sh host-facts.sh FOLDER...
#
# Prints one fact a line, its fields separated by tabs; white space in a path is written as in /proc/mounts (\040).
set -eu

tab=$(printf '\t')

fact() {
	line=$1
	shift
	for field in "$@"; do
		line=$line$tab$field
	done
	printf '%s\n' "$line"
}

# The node's name in Proxmox: the machine's, without a domain.
node() {
	name=$(uname -n)
	fact node "${name%%.*}"
}

# Where a file system is mounted: mounted PATH
mounts() {
	awk -v OFS='\t' '{ print "mounted", $5 }' /proc/self/mountinfo
}

# What ought to be mounted: paths of /etc/fstab and of systemd's mount units (so Proxmox mounts its directory
# storages), and the storages' own words. No option of fstab is printed: it may hold a password.
expected() {
	if [ -r /etc/fstab ]; then
		awk -v OFS='\t' '$1 !~ /^#/ && $2 ~ /^\/./ { print "expected", $2, "/etc/fstab" }' /etc/fstab
	fi
	for unit in /etc/systemd/system/*.mount; do
		[ -f "$unit" ] || continue
		sed -n "s|^Where=\(/..*\)$|expected$tab\1$tab${unit##*/}|p" "$unit"
	done
	if [ -r /etc/pve/storage.cfg ]; then
		awk -v OFS='\t' '
			/^[a-z]+:[ \t]/ { type = $1; sub(":", "", type); id = $2; print "storage", id, "type", type }
			/^[ \t]+(path|is_mountpoint|mountpoint|pool|disable)[ \t]?/ { print "storage", id, $1, ($2 == "" ? "1" : $2) }
		' /etc/pve/storage.cfg
	fi
}

# Which containers of the cluster have which folder bound: bound NODE VMID PATH
bound() {
	for file in /etc/pve/nodes/*/lxc/*.conf; do
		[ -r "$file" ] || continue
		vmid=${file##*/}
		vmid=${vmid%.conf}
		node=${file#/etc/pve/nodes/}
		node=${node%%/*}
		sed -n -e "s|^mp[0-9]*:[ ]*\(/[^,]*\).*$|bound$tab$node$tab$vmid$tab\1|p" \
			-e "s|^lxc\.mount\.entry[:=][ ]*\(/[^ ]*\).*$|bound$tab$node$tab$vmid$tab\1|p" "$file"
	done | sort -u
}

# The first symbolic link on the way to $1, or nothing.
link_on_the_way() {
	rest=${1#/}
	way=
	while [ -n "$rest" ]; do
		way=$way/${rest%%/*}
		if [ -L "$way" ]; then
			printf '%s' "$way"
			return
		fi
		case $rest in
		*/*) rest=${rest#*/} ;;
		*) rest= ;;
		esac
	done
}

# folder PATH STATE LINK UID GID MODE EMPTY; state: missing, directory, other. "-" stands for nothing.
folder() {
	link=$(link_on_the_way "$1")
	if [ ! -e "$1" ] && [ ! -L "$1" ]; then
		fact folder "$1" missing "${link:--}" - - - -
	elif [ ! -d "$1" ]; then
		fact folder "$1" other "${link:--}" - - - -
	else
		empty=no
		[ -n "$(find "$1/" -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit)" ] || empty=yes
		# shellcheck disable=SC2046 # three words on purpose
		fact folder "$1" directory "${link:--}" $(stat -L -c '%u %g %a' "$1") "$empty"
	fi
}

node
mounts
expected
bound
for path in "$@"; do
	folder "$path"
done
fact end
