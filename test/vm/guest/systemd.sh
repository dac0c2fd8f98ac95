#!/bin/sh
# What is tried in a Debian guest over four boots. With systemd: the package, the unit, the group, the journal, the watchdog, an
# update; then a boot from the plan of all that. With busybox as its init: the runtime as a line of inittab. With systemd again: removal and purge.
# Every step says `ok:` and what it has seen; the first that fails shows the log and ends the machine.
exec 2>&1
unit=northstate.service
group=/sys/fs/cgroup/system.slice/$unit

fail() {
	echo "FAILED: $*"
	systemctl status "$unit" --no-pager
	journalctl -b --no-pager -n 60 -o short-monotonic
	tail -n 40 /root/northstate.log
	sync
	busybox poweroff -f
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
# The launcher's child that is no container's init.
reconciler() { child "$1" reconciler; }
child() { for each in $(cat "/proc/$1/task/$1/children"); do grep -q "$2" "/proc/$each/cmdline" && echo "$each"; done | grep .; }
is() { [ "$1" = "$2" ] || { echo "$1 is not $2" && return 1; }; }
said() { journalctl CONTAINER=hello VERSION=1.0.0 STREAM=stdout -o cat | grep -x "$1"; }
# The unit runs with another main process than this, and so does the container.
is_new() { systemctl is-active -q "$unit" && [ "$(main)" != "$1" ] && hello; }
has_other_reconciler() { now=$(reconciler "$1") && [ "$now" != "$2" ]; }
of() { tr -d ' ' <"/proc/$1/$2"; }
status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
version() { northstate get -o json | sed -n 's/^ *"version": "\(.*\)",*$/\1/p' | head -n 1; }
# Files by their names; what the system itself writes while it runs is left out.
files() {
	find / -xdev \( -path /root -o -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/log -o -path /var/tmp \
		-o -path /var/lib/dpkg -o -path '/var/lib/systemd/[cprt]*' -o -path /var/cache/ldconfig \) -prune -o -print | sort
}

first_boot() {
	files >/root/before
	check 'the package is installed' dpkg -i /root/northstate.deb
	check 'the unit is active and enabled' sh -c "systemctl is-active $unit && systemctl is-enabled $unit"
	check 'systemd finds nothing wrong with the unit' is "$(systemd-analyze verify "$unit" 2>&1 | grep "^$unit" | grep -v "Command 'man ")" ''
	check 'the main process is in its leaf of the group' grep -qx "0::/system.slice/$unit/launcher" "/proc/$(main)/cgroup"
	mkdir -p /var/lib/northstate/packages
	cp /root/hello-1.0.0.npk /var/lib/northstate/packages
	check 'a container runs' northstate apply -f /root/desired.yaml --wait --timeout 300s
	pid=$(hello)
	limit=$(cat "$group/containers/container-hello/memory.max")
	check 'its limit is set' is "$limit" 33554432
	application=$(of "$pid" "task/$pid/children")
	for each in $pid $application; do
		check 'it has nothing of what the unit sets' is "$(of "$each" oom_score_adj) $(status_of "$each" Umask) $(status_of "$each" Seccomp)" '0 0022 0'
	done
	check 'nor any right' is "$(status_of "$application" CapBnd) $(status_of "$application" NoNewPrivs)" '0000000000000000 1'
	check 'launcher and reconciler are killed last' is "$(of "$(main)" oom_score_adj) $(of "$(reconciler "$(main)")" oom_score_adj)" '-900 -900'
	check 'the status says what runs' until_true 60 sh -c "systemctl show -p StatusText --value $unit | grep -qx 'Running: 1 container runs'"
	check 'the manager is reloaded' systemctl daemon-reload
	check 'a reload changes nothing' is "$(hello) $(cat "$group/containers/container-hello/memory.max")" "$pid $limit"
	before=$(main)
	decides=$(reconciler "$before")
	check 'the unit is reloaded' systemctl reload "$unit"
	check 'another reconciler reads everything anew' until_true 60 has_other_reconciler "$before" "$decides"
	check 'and the container runs on' is "$(main) $(hello)" "$before $pid"
	check 'the package is installed once more' dpkg -i /root/northstate.deb
	check 'its runtime has taken over' until_true 60 sh -c "journalctl -u $unit | grep -q 'has taken over'"
	check 'with the main process and the container as they were' is "$(main) $(hello)" "$before $pid"
	check 'and the unit is active' until_true 60 sh -c "systemctl show -p SubState --value $unit | grep -qx running"
	check 'the journal has its lines' until_true 60 said hello-line
	check 'the journal has our messages' sh -c "journalctl -t northstate -o json | grep -q '\"MESSAGE_ID\"'"
	kill -KILL "$before"
	check 'a launcher that is killed comes back, and its container' until_true 300 is_new "$before"
	mkdir -p /run/systemd/system/$unit.d
	printf '[Service]\nWatchdogSec=20s\n' >/run/systemd/system/$unit.d/watchdog.conf
	systemctl daemon-reload
	check 'it is started again' systemctl restart "$unit"
	check 'its container runs' until_true 300 hello
	before=$(main)
	pid=$(hello)
	decides=$(reconciler "$before")
	kill -STOP "$decides"
	check 'a reconciler that hangs is killed, and there is another one' until_true 300 has_other_reconciler "$before" "$decides"
	check 'meanwhile the watchdog is fed, and the container runs' is "$(main) $(hello)" "$before $pid"
	kill -STOP "$before"
	check 'a launcher that hangs is ended by the watchdog, and comes back' until_true 300 is_new "$before"
	check 'the journal names the watchdog' sh -c "journalctl -u $unit | grep -qi watchdog"
	cp /root/hello-1.1.0.npk /var/lib/northstate/packages
	check 'the container is updated' until_true 300 northstate update hello
	check 'the new version runs' sh -c "northstate wait --for converged --timeout 300s && northstate get | grep -q 1.1.0"
	check 'a boot plan is kept of it' until_true 60 grep -qa /hello:1.1.0 /var/lib/northstate/state/boot.plan
	echo 1 >/root/stage
	echo 'rebooting'
	systemctl reboot
}

# When a process began, in ticks of the boot.
began() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 20; }
played() { journalctl -b -t northstate -o cat | grep 'what ran before the boot was started from its plan'; }
fed_since() { [ "$(systemctl show -p WatchdogTimestampMonotonic --value "$unit")" -gt "$1" ]; }
# Began before.
is_before() { [ "$(began "$1")" -le "$(began "$2")" ]; }

planned_boot() {
	check 'the unit is active after a reboot: READY came' until_true 300 systemctl is-active -q "$unit"
	check 'what ran before the reboot was started from its plan' until_true 60 played
	check 'its container runs' hello
	check 'it began before the reconciler' is_before "$(hello)" "$(reconciler "$(main)")"
	check 'the first program is the launcher' is "$(cat "/proc/$(main)/comm") $(reconciler "$(main)" | wc -l)" 'northstate 1'
	check 'it is in its leaf of the group' grep -qx "0::/system.slice/$unit/launcher" "/proc/$(main)/cgroup"
	check 'its limit is set' is "$(cat "$group/containers/container-hello/memory.max")" 33554432
	check 'there are no other groups' is "$(find /sys/fs/cgroup -name 'container-*' | wc -l)" 1
	check 'the status says what runs' until_true 60 sh -c "systemctl show -p StatusText --value $unit | grep -qx 'Running: 1 container runs'"
	before=$(main)
	pid=$(hello)
	feeds=$(systemctl show -p WatchdogTimestampMonotonic --value "$unit")
	check 'the watchdog is fed' until_true 120 fed_since "$feeds"
	check 'it has not been started again' is "$(systemctl show -p NRestarts --value "$unit") $(systemctl show -p Result --value "$unit")" '0 success'
	check 'the new version runs' sh -c "northstate wait --for converged --timeout 300s && northstate get | grep -q 1.1.0"
	check 'and is the one that the plan has started' is "$(main) $(hello)" "$before $pid"
	check 'it is stopped' systemctl stop "$unit"
	check 'that was no failure' is "$(systemctl show -p Result --value "$unit")" success
	check 'nothing of it runs' test ! -d "$group"
	# The next boot has busybox as its init.
	readlink /sbin/init >/root/init
	ln -sf /bin/busybox /sbin/init
	cp /root/inittab /etc/inittab
	echo 2 >/root/stage
	echo 'rebooting'
	systemctl reboot
}

# The launcher, as init's child.
launcher() { cat /run/northstate/.lock | grep .; }
runs_anew() { [ "$(launcher)" != "$1" ] && northstate get | grep -q 'hello .* Running'; }

busybox_boot() {
	check 'init is busybox' is "$(basename "$(readlink /proc/1/exe)")" busybox
	check 'the runtime is back after a reboot' until_true 300 northstate get
	check 'with what ran before' sh -c "northstate wait --for converged --timeout 300s && northstate get | grep -q 1.1.0"
	before=$(launcher)
	check 'it is a child of init' is "$(status_of "$before" PPid)" 1
	kill -KILL "$before"
	check 'a launcher that is killed is started again by init, and its container' until_true 300 runs_anew "$before"
	rm /etc/inittab
	ln -sf "$(cat /root/init)" /sbin/init
	echo 3 >/root/stage
	echo 'rebooting'
	busybox reboot
}

last_boot() {
	check 'init stopped the containers in order before that boot' grep -q '"ended"' /root/northstate.log
	check 'it is back after a reboot, and its container' until_true 300 is_new 0
	check 'its status says so' until_true 60 sh -c "systemctl show -p StatusText --value $unit | grep -qx 'Running: 1 container runs'"
	check 'the package is removed' dpkg -r northstate
	check 'documents, packages and settings stay' ls /var/lib/northstate/desired.yaml /var/lib/northstate/packages/hello-1.0.0.npk /etc/northstate/config.yaml
	check 'what it made to run is gone' sh -c '! ls -d /run/northstate /var/cache/northstate /usr/lib/northstate'
	check 'the package is purged' dpkg -P northstate
	files >/root/after
	check 'no file is left' is "$(comm -13 /root/before /root/after)" ''
	check 'nor any of its name' is "$(find /var/lib/dpkg /run -name '*northstate*' -print)" ''
	echo 'done'
	systemctl poweroff
}

case $(cat /root/stage 2>/dev/null) in
1) planned_boot ;;
2) busybox_boot ;;
3) last_boot ;;
*) first_boot ;;
esac
