// Compiles the reconciler and the parsers of a bundle before they are started, for a Node that is given: NAME-HASH.compiled.
//
//   compile-bundle.ts BUNDLE [PROGRAM...]
//
// PROGRAM is that Node, after an emulator when it is for another processor; the one that runs this when left out. What a
// start calls (native/started-functions.txt) is compiled, and nothing else: all of it takes half as long again to read, and
// 2 MB. None of it is run. The same bundle and Node give the same bytes, and V8 does not ask what a processor can do.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { functionsOf } from './bundle-functions.ts';

const [folder = '', ...given] = process.argv.slice(2);
const bundle = resolve(folder);
const program = given.length > 0 ? given : [process.execPath];
const flags = flagsOf(readFileSync(join(import.meta.dirname, '../src/cli/northstate'), 'utf8'));

/** Those that a reconciler is started with: V8 takes what was compiled with the same alone. */
function flagsOf(command: string): readonly string[] {
  const words = /"\$node" (--(?:[^"]|\n)*)"\$daemon"/.exec(command)?.[1]?.match(/--\S+/g);
  if (words === undefined || words === null)
    throw new Error('src/cli/northstate does not say how it starts the reconciler');
  return words;
}

function run(seeds: readonly string[], words: readonly string[], input = ''): void {
  const [command = '', ...rest] = program;
  const step = join(import.meta.dirname, 'compile-step.ts');
  execFileSync(command, [...rest, ...flags, ...seeds, step, ...words], {
    input,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
}

/** Where V8's header (SerializedCodeData) has the hash of the flags. */
const flagsAt = 12;
const started = new Set(readFileSync(join(import.meta.dirname, 'started-functions.txt'), 'utf8').split('\n'));
const work = mkdtempSync(join(tmpdir(), 'northstate-compile-'));
try {
  run([], ['flags', join(work, 'flags')]);
  const hash = readFileSync(join(work, 'flags')).subarray(flagsAt, flagsAt + 4);
  for (const name of readdirSync(bundle).filter((each) => /-\w{16}\.cjs$/.test(each)))
    compile(join(bundle, name), hash);
} finally {
  rmSync(work, { recursive: true });
}

function compile(source: string, hash: Uint8Array): void {
  const map = join(import.meta.dirname, '../.build/reconciler', basename(source).replace(/-\w+\.cjs$/, '.js.map'));
  const functions = functionsOf(readFileSync(source, 'latin1'), readFileSync(map, 'utf8'));
  const wanted = functions.filter(({ key }) => started.has(key)).map(({ end }) => end);
  const target = source.replace(/cjs$/, 'compiled');
  // The order of what is written hangs on hashes of strings. Their seed is a flag, of which a start has none.
  run(['--hash-seed=1', '--random-seed=1'], ['compile', source, target], wanted.join('\n'));
  const compiled = readFileSync(target);
  compiled.set(hash, flagsAt);
  writeFileSync(target, compiled);
  run([], ['accepts', source, target]);
}
