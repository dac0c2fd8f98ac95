// npm run started: writes native/started-functions.txt, the functions that a start of the reconciler calls: of one that starts
// containers, of one that adopts them, and of a question to it.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { functionsOf } from '../../native/bundle-functions.ts';
import { probePackage } from '../support/packages.ts';
import { documentOf, startDaemon } from '../support/test-daemon.ts';
import { installOwn } from './own-programs.ts';
import { ask } from './reconciler-start.ts';
import { succeed } from '../support/successor.ts';

interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly ranges: readonly { readonly endOffset: number; readonly count: number }[];
    }[];
  }[];
}

const root = join(import.meta.dirname, '../..');
const folder = await mkdtemp(join(tmpdir(), 'northstate-started-'));
try {
  await run(false);
  await run(true);
  const keys = new Set<string>();
  const ends = await calledEnds();
  for (const [url, called] of ends) {
    const map = basename(url).replace(/-\w+\.cjs$/, '.js.map');
    const code = await readFile(join(root, '.build/bundle', basename(url)), 'latin1');
    const functions = functionsOf(code, await readFile(join(root, '.build/reconciler', map), 'utf8'));
    for (const { key, end } of functions) if (called.has(end)) keys.add(key);
  }
  await writeFile(join(root, 'native/started-functions.txt'), `${[...keys].toSorted().join('\n')}\n`);
  console.log(`${keys.size} functions`);
} finally {
  await rm(folder, { recursive: true });
}

/** A runtime with three containers that is asked and ends; with `adopts`, its first reconciler is killed before. */
async function run(adopts: boolean): Promise<void> {
  await using installation = await installOwn();
  const names = ['one', 'two', 'three'];
  await using daemon = await startDaemon({
    packages: await Promise.all(names.map((name) => probePackage({ name, args: ['sleep'] }))),
    document: (directory) => documentOf(directory, ...names.map((name) => `${name}: {}`)),
    asOnDevice: true,
    program: installation.program,
    env: { ...installation.env, NODE_V8_COVERAGE: folder },
  });
  await daemon.until('everything runs', ({ converged }) => converged);
  if (adopts) await succeed(daemon);
  await ask(daemon);
  await daemon.stop();
}

/** Where the functions end that were called, by the script that they are in. */
async function calledEnds(): Promise<ReadonlyMap<string, ReadonlySet<number>>> {
  const ends = new Map<string, Set<number>>();
  for (const file of await readdir(folder)) {
    const { result } = JSON.parse(await readFile(join(folder, file), 'utf8')) as Coverage;
    for (const { url, functions } of result.filter(({ url }) => /-\w{16}\.cjs$/.test(url))) {
      const own = ends.get(basename(url)) ?? new Set<number>();
      for (const { ranges } of functions) if (ranges[0] && ranges[0].count > 0) own.add(ranges[0].endOffset);
      ends.set(basename(url), own);
    }
  }
  return ends;
}
