#!/bin/sh
# What is tried in a Debian guest with systemd, over two boots: the package, the unit, the group, the journal, the watchdog.
# Every step says `ok:` and what it has seen; the first that fails shows the log and ends the machine.
exec 2>&1
unit=northstate.service
group=/sys/fs/cgroup/system.slice/$unit

fail() {
	echo "FAILED: $*"
	systemctl status "$unit" --no-pager
	journalctl -b --no-pager -n 60 -o short-monotonic
	systemctl poweroff --force --force
	sleep 600
}

# check WHAT COMMAND...
check() {
	what=$1
	shift
	if said=$("$@" 2>&1); then echo "ok: $what"; else fail "$what: $* says: $said"; fi
}

# until_true SECONDS COMMAND...
until_true() {
	left=$1
	shift
	while ! "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 1
	done
}

main() { systemctl show -p MainPID --value "$unit"; }
hello() { cat "$group"/containers/container-hello/*/cgroup.procs | head -n 1 | grep .; }
is() { [ "$1" = "$2" ] || { echo "$1 is not $2" && return 1; }; }
said() { journalctl CONTAINER=hello VERSION=1.0.0 STREAM=stdout -o cat | grep -x "$1"; }
# The unit runs with another main process than this, and so does the container.
is_new() { systemctl is-active -q "$unit" && [ "$(main)" != "$1" ] && hello; }

first_boot() {
	check 'the package is installed' dpkg -i /root/northstate.deb
	check 'the unit is active and enabled' sh -c "systemctl is-active $unit && systemctl is-enabled $unit"
	check 'the main process is in its leaf of the group' grep -qx "0::/system.slice/$unit/launcher" "/proc/$(main)/cgroup"
	mkdir -p /var/lib/northstate/packages
	cp /root/*.npk /var/lib/northstate/packages
	check 'a container runs' northstate apply -f /root/desired.yaml --wait --timeout 300s
	pid=$(hello)
	limit=$(cat "$group/containers/container-hello/memory.max")
	check 'its limit is set' is "$limit" 33554432
	check 'the manager is reloaded' systemctl daemon-reload
	check 'a reload changes nothing' is "$(hello) $(cat "$group/containers/container-hello/memory.max")" "$pid $limit"
	check 'the journal has its lines' until_true 60 said hello-line
	check 'the journal has our messages' sh -c "journalctl -t northstate -o json | grep -q '\"MESSAGE_ID\"'"
	before=$(main)
	kill -KILL "$before"
	check 'a launcher that is killed comes back, and its container' until_true 300 is_new "$before"
	mkdir -p /run/systemd/system/$unit.d
	printf '[Service]\nWatchdogSec=20s\n' >/run/systemd/system/$unit.d/watchdog.conf
	systemctl daemon-reload
	check 'it is started again' systemctl restart "$unit"
	before=$(main)
	sleep 30
	check 'the watchdog is fed' is "$(main)" "$before"
	kill -STOP "$before"
	check 'a launcher that hangs is ended by the watchdog, and comes back' until_true 300 is_new "$before"
	check 'the journal names the watchdog' sh -c "journalctl -u $unit | grep -qi watchdog"
	check 'it is stopped' systemctl stop "$unit"
	check 'that was no failure' is "$(systemctl show -p Result --value "$unit")" success
	check 'nothing of it runs' test ! -d "$group"
	echo 2 >/root/stage
	echo 'rebooting'
	systemctl reboot
}

second_boot() {
	check 'it is back after a reboot, and its container' until_true 300 is_new 0
	check 'its status says so' is "$(systemctl show -p StatusText --value "$unit")" Running
	check 'the package is removed' dpkg -r northstate
	check 'documents, packages and settings stay' ls /var/lib/northstate/desired.yaml /var/lib/northstate/packages/hello-1.0.0.npk /etc/northstate/config.yaml
	check 'what it made to run is gone' sh -c '! ls -d /run/northstate /var/cache/northstate /usr/lib/northstate'
	check 'the package is purged' dpkg -P northstate
	left=$(find / -xdev \( -path /root -o -path /proc -o -path /sys -o -path /var/lib/systemd/catalog \) -prune -o -name '*northstate*' -print)
	check 'nothing is left' is "$left" ''
	echo 'done'
	systemctl poweroff
}

case $(cat /root/stage 2>/dev/null) in
2) second_boot ;;
*) first_boot ;;
esac
