#!/bin/sh
# Installs northstate from the folder that this script lies in, into a root without a package manager. Needs a POSIX shell
# and the usual small programs (busybox will do), no network and, for another root than /, no right but to write there.
set -eu

usage() {
	cat >&2 <<-EOT
		usage: install.sh [--root DIR] [--enable]    install into DIR (default: /), replacing an older version
		       install.sh [--root DIR] --uninstall   remove it; documents, packages and persistent data stay
		       install.sh [--root DIR] --purge       remove these, too
		--enable has systemd start it at boot
	EOT
	exit 2
}

fail() {
	echo "install.sh: $*" >&2
	exit 1
}

root=/ action=install enable=no
while [ $# -gt 0 ]; do
	case $1 in
	--root)
		[ $# -ge 2 ] || usage
		root=$2
		shift
		;;
	--enable) enable=yes ;;
	--uninstall) action=uninstall ;;
	--purge) action=purge ;;
	*) usage ;;
	esac
	shift
done

source=$(cd "$(dirname "$0")" && pwd)/root
[ -d "$root" ] || fail "$root is no directory"
root=$(cd "$root" && pwd)
[ "$root" != / ] || root=''
list=$root/usr/lib/northstate/installed
config=etc/northstate/config.yaml
wanted=$root/etc/systemd/system/multi-user.target.wants/northstate.service

# A runtime that works with these files would find half of them.
refuse_while_running() {
	[ -z "$root" ] && [ -f /run/northstate/.lock ] || return 0
	read -r holder </run/northstate/.lock || return 0
	case $(readlink "/proc/$holder/exe" 2>/dev/null) in
	*northstate*) fail "northstate runs as process $holder: stop it first (northstate shutdown)" ;;
	esac
}

# remove_files LIST: what the list names, then the directories that are empty without it.
remove_files() {
	while read -r file; do
		rm -f "$root/$file"
	done <"$1"
	while read -r file; do
		directory=${file%/*}
		while [ "$directory" != "${directory%/*}" ] && rmdir "$root/$directory" 2>/dev/null; do
			directory=${directory%/*}
		done
	done <"$1"
}

# Beside its place, then renamed: a program that runs cannot be written to, and power may fail.
put() {
	mkdir -p "$root/$(dirname "$1")"
	cp -P "$source/$1" "$root/$1.new"
	# Into the directory that a link leads to nothing is moved.
	[ ! -L "$root/$1" ] || rm -f "$root/$1"
	mv -f "$root/$1.new" "$root/$1"
}

install_files() {
	[ -d "$source" ] || fail "$source is missing: run this script where the archive was unpacked"
	mkdir -p "$root/usr/lib/northstate"
	(cd "$source" && find . ! -type d) | sed 's|^\./||' | grep -v "^$config\$" | sort >"$list.new"
	while read -r file; do
		put "$file"
	done <"$list.new"
	if [ -f "$list" ]; then
		sort "$list" "$list.new" "$list.new" | uniq -u >"$list.old"
		remove_files "$list.old"
		rm -f "$list.old"
	fi
	mv -f "$list.new" "$list"
	if [ -f "$root/$config" ] && ! cmp -s "$source/$config" "$root/$config"; then
		cp "$source/$config" "$root/$config.example"
		echo "install.sh: $root/$config stays as it is; the one of this version is $config.example"
	else
		put "$config"
	fi
	if [ "$enable" = yes ]; then
		mkdir -p "$(dirname "$wanted")"
		ln -sf /usr/lib/systemd/system/northstate.service "$wanted"
	fi
}

uninstall_files() {
	[ -f "$list" ] || fail "there is no northstate in ${root:-/} that this script has installed"
	kept=$(mktemp)
	cp "$list" "$kept"
	rm -f "$wanted" "$list"
	remove_files "$kept"
	rm -f "$kept"
	rm -rf "$root/run/northstate" "$root/var/cache/northstate"
}

case $action in
install) install_files ;;
uninstall)
	refuse_while_running
	uninstall_files
	;;
purge)
	refuse_while_running
	uninstall_files
	rm -rf "$root/etc/northstate" "$root/var/lib/northstate"
	;;
esac
