#!/bin/sh
# build-clients.sh FOLDER: clients of sd_notify(3) as others have written them, from the registries: Python's sdnotify (PyPI), Debian's
# python3-systemd and libsystemd, coreos/go-systemd, the crate sd-notify. Each says READY and STATUS, then WATCHDOG=1 ten times.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ ! -e "$out/rust-client" ] || exit 0
rm -rf "$out"
mkdir -p "$out/python"

pip download -q --no-deps --no-binary :all: -d "$work" sdnotify
tar -C "$work" -xzf "$work"/sdnotify-*.tar.gz
cp -r "$work"/sdnotify-*/sdnotify "$out/python/"
cp "$here/sdnotify-client.py" "$here/systemd-client.py" "$out/"

(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root python3-systemd libsystemd0 libsystemd-dev &&
	for package in ./*.deb; do dpkg-deb -x "$package" debian || exit 1; done)
cp -r "$work/debian/usr/lib/python3/dist-packages/systemd" "$out/python/"
mkdir "$out/lib"
cp "$work"/debian/usr/lib/*/libsystemd.so.0 "$out/lib/"
cc -std=gnu17 -Wall -Wextra -Werror -I "$work/debian/usr/include" -o "$out/c-client" "$here/client.c" "$out/lib/libsystemd.so.0" -Wl,--allow-shlib-undefined

mkdir "$work/go"
cp "$here/client.go" "$work/go/main.go"
(cd "$work/go" && go mod init client >/dev/null 2>&1 && go get github.com/coreos/go-systemd/v22@v22.6.0 >/dev/null 2>&1 && CGO_ENABLED=0 go build -o "$out/go-client" .)

mkdir -p "$work/rust/src"
cp "$here/client.rs" "$work/rust/src/main.rs"
(cd "$work/rust" && printf '[package]\nname = "rust-client"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nsd-notify = "=0.5.0"\n' >Cargo.toml && cargo build -q --release && cp target/release/rust-client "$out/")
