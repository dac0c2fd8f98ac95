#!/bin/busybox sh
# What is tried in an arm64 guest, as its init: the package of that architecture on a root without an init system.
/bin/busybox mkdir -p /run /tmp /opt/bin
/bin/busybox --install -s /opt/bin
export PATH=/usr/bin:/opt/bin HOME=/root
mount -o remount,rw / 2>/dev/null
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up

end() {
	echo "$1"
	sync
	poweroff -f
	sleep 600
}

# check WHAT COMMAND...
check() {
	what=$1
	shift
	if said=$("$@" 2>&1); then
		echo "ok: $what"
	else
		tail -n 30 /tmp/log
		end "FAILED: $what: $* says: $said"
	fi
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

field() { northstate get -o json | sed -n "s/.*\"$1\": \\([0-9]*\\),*\$/\\1/p" | head -n 1 | grep .; }
check 'Node runs' /usr/lib/northstate/node -e 0
check 'the host is checked' sh -c 'northstate check -o json >/tmp/check; grep -q launcher /tmp/check'
grep -A3 '"memory pages"' /tmp/check | grep detail
mkdir -p /var/lib/northstate/packages
cp /root/*.npk /var/lib/northstate/packages
cp /root/desired.yaml /var/lib/northstate/desired.yaml
cp /root/config.yaml /etc/northstate/config.yaml
chmod 644 /var/lib/northstate/desired.yaml /etc/northstate/config.yaml
northstate run >/tmp/log 2>&1 &
check 'the runtime is up' until_true 300 northstate get
check 'a container runs under the default filter' northstate wait --for converged --timeout 300s
pid=$(field pid)
# The application is the child of the container's init.
application=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
check 'it is filtered' grep -q '^Seccomp:.2' "/proc/$application/status"
check 'it has said hello' until_true 60 sh -c "northstate logs hello | grep -x 'hello from version 1.0.0'"
launcher=$(cat /run/northstate/.lock)
reconciler() { for each in $(cat "/proc/$launcher/task/$launcher/children"); do grep -q reconciler "/proc/$each/cmdline" && echo "$each"; done | grep .; }
has_another() { now=$(reconciler) && [ "$now" != "$1" ] && northstate get; }
killed=$(reconciler)
kill -KILL "$killed"
check 'a reconciler that is killed has a successor' until_true 300 has_another "$killed"
check 'which has adopted the container' sh -c "northstate wait --for converged --timeout 300s && [ -d /proc/$application ]"
check 'it is the same one' [ "$(field pid)" = "$pid" ]
check 'the runtime is stopped' northstate shutdown
check 'it ends, and the container before it' until_true 300 sh -c "[ ! -d /proc/$launcher ] && [ ! -d /proc/$application ]"
check 'no group of it is left' [ -z "$(find /sys/fs/cgroup -name '*hello*')" ]
end 'done'
