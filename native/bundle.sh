#!/bin/sh
# Bundles the command line, the client, their threads and the reconciler of the checkout that it lies in: .build/bundle.
set -eu
cd "$(dirname "$0")/.."

# Bundled, programs start several times faster than from their sources. What is needed now and then stays in files of its
# own; state/document/parser.ts and src/npk/image/hasher.ts look for their threads beside the reconciler.
bundle() {
	rm -rf .build/bundle
	node_modules/.bin/esbuild src/cli/main.ts src/client/northstate.ts state/document/parser-worker.ts src/npk/image/digest-worker.ts --bundle --splitting --platform=node --target=node24 \
		--format=esm --external:koffi --minify-whitespace --minify-syntax --log-level=warning \
		--banner:js='import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);' \
		--entry-names='[name]' --out-extension:.js=.mjs --outdir=.build/bundle
	bundle_daemon
}

# The reconciler is started at each wake: one file, whose lazy parts lie in it unread, and which is read in place. The parsers,
# which an adoption needs none of, lie beside it. Each is a function that bundle-entry.cjs calls, compiled before it is started,
# and has the hash of all in its name.
bundle_daemon() {
	rm -rf .build/reconciler
	own=
	for parser in zod yaml smol-toml croner; do
		own="$own --external:$parser"
		echo "export * from '$parser'" | bundle_script $parser
	done
	# shellcheck disable=SC2086 # a list of words
	bundle_script reconciler src/daemon.ts --external:koffi $own --define:import.meta.url=bundleUrl --define:import.meta.dirname=__dirname
	hash=$(cat .build/reconciler/*.js | sha256sum | cut -c 1-16)
	for script in .build/reconciler/*.js; do
		name=${script##*/}
		cp "$script" ".build/bundle/${name%.js}-$hash.cjs"
	done
	sed "s/HASH/$hash/g" native/bundle-entry.cjs >.build/bundle/daemon.new
	node_modules/.bin/node native/compile-bundle.ts .build/bundle
	mv .build/bundle/daemon.new .build/bundle/daemon.cjs
}

# bundle_script NAME ENTRY...: .build/reconciler/NAME.js and what each part of it was (NAME.js.map).
bundle_script() {
	name=$1
	shift
	node_modules/.bin/esbuild "$@" --bundle --platform=node --target=node24 --format=cjs --minify-whitespace --minify-syntax \
		--log-level=warning --sourcemap=external --outfile=".build/reconciler/$name.js" --footer:js='})' \
		--banner:js='(function(require,module,exports,__filename,__dirname){const bundleUrl="file://"+__filename;'
}

bundle
