#!/bin/sh
# Builds the boot player: .build/northstate-player, static. With `asan`: .build/northstate-player-asan, with the address and
# undefined-behaviour sanitizers. With `amd64` or `arm64`: .build/northstate-player-ARCHITECTURE, by Debian's compiler for it.
# Nothing is done when no source is newer than the program. CC names another compiler.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out="$here/../../.build"
# The deeds share their parameters.
warnings='-Wall -Wextra -Wno-unused-parameter -Wshadow -Wformat=2 -Wno-format-truncation -Wconversion -Werror'
case "${1-}" in
'') program=northstate-player flags='-static -s' ;;
asan) program=northstate-player-asan flags='-g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover' ;;
amd64) program=northstate-player-amd64 flags='-static -s' CC=${CC:-x86_64-linux-gnu-gcc} ;;
arm64) program=northstate-player-arm64 flags='-static -s' CC=${CC:-aarch64-linux-gnu-gcc} ;;
*) echo "usage: $0 [asan | amd64 | arm64]" >&2 && exit 2 ;;
esac

package="$here/../../package.json"
if [ -x "$out/$program" ] && [ -z "$(find "$here" "$here/../launcher/wire.c" "$here/../launcher/wire.h" "$package" -type f -newer "$out/$program")" ]; then
  exit 0
fi
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$package")
mkdir -p "$out"
# Written beside its place and moved: a program that runs cannot be overwritten, and two builds do not meet.
# shellcheck disable=SC2086
"${CC:-cc}" -std=c17 -O2 $warnings $flags "-DRUNTIME_VERSION=\"$version\"" -o "$out/$program.$$" "$here"/*.c "$here/../launcher/wire.c"
mv -f "$out/$program.$$" "$out/$program"
