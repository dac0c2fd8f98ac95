// The reconciler's entry, bundle/daemon.cjs: runs reconciler-HASH.cjs, compiled before (native/compile-bundle.ts), and gives it
// what it requires. V8 takes compiled code of its own version and flags only, and of a source as long as this one: so names carry the
// hash of what is in the files. Whatever it does not take is compiled as if there were none.
'use strict';
const { closeSync, openSync, readFileSync, readSync } = require('node:fs');
const { join } = require('node:path');
const { Script, constants } = require('node:vm');

/** Parsers, of which an adoption needs none. */
const parsers = new Map(['zod', 'yaml', 'smol-toml', 'croner'].map((name) => [name, null]));
/** What of Node a start does without: it is loaded when it is first used. */
const late =
  /^(?:node:)?(?:assert|crypto|child_process|dns\/promises|fs\/promises|module|perf_hooks|tls|tty|worker_threads|zlib)$/;

let sha256 = null;

/** That of node:crypto, without its twenty other files: the program itself has OpenSSL's function. */
function hash(algorithm, data, encoding = 'hex') {
  if (algorithm !== 'sha256') return require('node:crypto').hash(algorithm, data, encoding);
  sha256 ??= provide('koffi').load(null).func('SHA256', 'void *', ['void *', 'size_t', 'void *']);
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  const digest = Buffer.alloc(32);
  sha256(bytes, bytes.byteLength, digest);
  return encoding === 'buffer' ? digest : digest.toString(encoding);
}

/** The kernel's random bytes (urandom(4)), which that of node:crypto is made of. */
function randomBytes(size) {
  const bytes = Buffer.alloc(size);
  const fd = openSync('/dev/urandom');
  try {
    if (readSync(fd, bytes) !== size) throw new Error('/dev/urandom: less than was asked for');
  } finally {
    closeSync(fd);
  }
  return bytes;
}

/** What a start asks of node:crypto. */
const instead = { __proto__: null, hash, randomBytes };

function later(name) {
  return new Proxy(() => undefined, {
    get: (_, key) => instead[key] ?? require(name)[key],
    apply: (_, self, values) => require(name)(...values),
  });
}

/** What the log (pino) has for threads that write, of which there are none here. */
const unthreaded = { worker_threads: { isMainThread: true }, module: {} };

function provide(name) {
  if (parsers.has(name)) return parsers.get(name) ?? run(name);
  // What koffi has beside its compiled part looks for that, and loads half of Node.
  if (name === 'koffi') return require(`@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`);
  return unthreaded[name] ?? (late.test(name) ? later(name) : require(name));
}

function read(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

function run(name) {
  const filename = join(__dirname, `${name}-HASH.cjs`);
  const unit = { exports: {} };
  compile(filename)(provide, unit, unit.exports, filename, __dirname);
  if (parsers.has(name)) parsers.set(name, unit.exports);
  return unit.exports;
}

/** What is in the file: a function. What was read for it is garbage when this returns. */
function compile(filename) {
  const cachedData = read(filename.replace(/cjs$/, 'compiled'));
  const importModuleDynamically = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData, importModuleDynamically });
  globalThis.compiledBefore &&= cachedData !== undefined && script.cachedDataRejected === false;
  return script.runInThisContext();
}

globalThis.compiledBefore = true;
run('reconciler');
