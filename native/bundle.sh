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

# What of Node a start does without; it is loaded when it is first used.
late='crypto|child_process|worker_threads|dns/promises|perf_hooks|fs/promises|zlib|tls'

# The reconciler is started at each wake: one file, whose lazy parts lie in it unread, and which is read in place. The parsers,
# which an adoption needs none of, lie beside it.
bundle_daemon() {
	for parser in zod yaml smol-toml croner; do
		echo "export * from '$parser'" | node_modules/.bin/esbuild --bundle --platform=node --target=node24 --format=cjs --minify-whitespace \
			--minify-syntax --log-level=warning --outfile=.build/bundle/$parser.cjs
	done
	node_modules/.bin/esbuild src/daemon.ts --bundle --platform=node --target=node24 --format=cjs --external:koffi --external:zod --external:yaml \
		--external:smol-toml --external:croner --minify-whitespace --minify-syntax --log-level=warning --define:import.meta.url=bundleUrl \
		--define:import.meta.dirname=__dirname --outfile=.build/bundle/daemon.new \
		--banner:js='const bundleUrl="file://"+__filename,late=name=>new Proxy({},{get:(_,key)=>require(name)[key]});'
	sed -E -e "s#(import_[a-zA-Z0-9_]+)=require\(\"node:($late)\"\)#\1=late(\"node:\2\")#g" \
		-e 's#require\("(zod|yaml|smol-toml|croner)"\)#require("./\1.cjs")#g' .build/bundle/daemon.new >.build/bundle/daemon.cjs
	rm .build/bundle/daemon.new
}

bundle
