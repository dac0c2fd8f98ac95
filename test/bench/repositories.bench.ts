// bench/repositories: loading many packages, and installing a big one over the console beside what the plain tools take for
// the same bytes.
import { cp, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createMemoryFiles } from '../../controllers/repositories/memory-files.ts';
import { createRepositories } from '../../controllers/repositories/repositories.ts';
import { fsyncDirectory } from '../../native/file.ts';
import { connectConsole } from '../../src/client/console-client.ts';
import { pack } from '../../src/npk/pack.ts';
import { readPackage } from '../../src/npk/open-package.ts';
import { createPackages } from '../../controllers/repositories/package-reader.ts';
import type { RepositoryEntry } from '../../state/desired.ts';
import { startDaemon } from '../support/test-daemon.ts';
import { keyPair, probePackage } from '../support/packages.ts';
import { row, type Row } from './measure.ts';
import { defaultFetchSettings } from '../../src/fetch/fetch-settings.ts';
import { createRemotes } from '../../src/fetch/remotes.ts';

const log = pino({ level: 'silent' });
const packages = createPackages();
const key = await keyPair('bench');
const rounds = 10;
const many = 500;
/** What the big package's image holds, bytes that do not compress. */
const bulk = 50_000_000;

export async function* bench(): AsyncGenerator<Row> {
  const work = await mkdtemp(join(tmpdir(), 'northstate-bench-'));
  try {
    yield* loads(work);
    yield* installs(work);
  } finally {
    await rm(work, { recursive: true });
  }
}

function entryOf(dir: string, keys: readonly string[]): RepositoryEntry {
  const capacity = { containers: null, size: null };
  const integrity = keys.length === 0 ? 'none' : 'full-check';
  return { id: 'system', type: 'fs', dir, keys, mountOnStart: false, capacity, integrity };
}

/** A repository of 500 packages is looked at for the first time, and again by the next reconciler. */
async function* loads(work: string): AsyncGenerator<Row> {
  for (const keyed of [false, true]) {
    const dir = join(work, keyed ? 'signed' : 'plain');
    await mkdir(dir);
    for (let index = 0; index < many; index++) {
      await cp(
        await probePackage({ name: `c-${index}`, ...(keyed ? { key: 'bench' } : {}) }),
        join(dir, `${index}.npk`),
      );
    }
    const entries = new Map([['system', entryOf(dir, keyed ? [key.public] : [])]]);
    const first: number[] = [];
    const again: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const cacheFile = join(work, `cache-${round}-${keyed}`);
      first.push(await load(entries, cacheFile));
      again.push(await load(entries, cacheFile));
    }
    const kind = keyed ? 'signed packages' : 'packages';
    yield row('repositories', `load ${many} ${kind}`, 'ms', first);
    yield row('repositories', `load ${many} ${kind}, known`, 'ms', again);
  }
}

async function load(entries: ReadonlyMap<string, RepositoryEntry>, cacheFile: string): Promise<number> {
  const memory = createMemoryFiles({ keep: async () => undefined, drop: async () => undefined }, new Map());
  const { openReader } = packages;
  const stand = (): void => undefined;
  const openRemote = createRemotes(defaultFetchSettings);
  const repositories = createRepositories({
    entries,
    cacheFile,
    contents: null,
    openReader,
    memory,
    openRemote,
    stand,
    log,
  });
  const begin = performance.now();
  const { packages: found } = await repositories.observe();
  const took = performance.now() - begin;
  if (found.size !== many) throw new Error(`${found.size} packages instead of ${many}`);
  await repositories.close();
  return took;
}

/** A package of 50 MB, with a signature or without. */
async function bigPackage(work: string, signed: boolean): Promise<string> {
  const root = join(work, 'root');
  await mkdir(root, { recursive: true });
  const file = await open(join(root, 'bulk'), 'w');
  // Bytes that no compression makes fewer, without asking the kernel for so much randomness.
  let state = 1;
  const words = new Uint32Array(bulk / 4).map(() => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0));
  await file.writeFile(new Uint8Array(words.buffer));
  await file.close();
  const manifest = join(work, 'manifest.yaml');
  await writeFile(manifest, 'name: big\nversion: 1.0.0\nuid: 1000\ngid: 1000\n');
  const out = join(work, signed ? 'big-signed.npk' : 'big.npk');
  await pack({ manifest, root, out, compression: 'none', key: signed ? key.secret : undefined });
  return out;
}

async function* installs(work: string): AsyncGenerator<Row> {
  const plain = await bigPackage(work, false);
  const signed = await bigPackage(work, true);
  const floor = 'cp and fsync of 50 MB';
  const keyed = `key: ${key.public}, integrity: full-check`;
  const document = (dir: string) => `apiVersion: northstate/v1
repositories:
  fs: { type: fs, dir: ${dir} }
  fs-key: { type: fs, dir: ${dir}/../keyed, ${keyed} }
  mem: { type: mem }
  mem-key: { type: mem, ${keyed} }
...
`;
  await using daemon = await startDaemon({ asOnDevice: true, packages: [], document });
  await mkdir(join(daemon.repository, '../keyed'));
  await daemon.until('the repositories are there', ({ repositories }) => repositories['fs-key']?.problems.length === 0);
  const client = await connectConsole(daemon.console);
  for (const repository of ['fs', 'mem', 'fs-key', 'mem-key']) {
    const file = repository.endsWith('key') ? signed : plain;
    const { size } = (await readPackage(file)).identity;
    const samples: number[] = [];
    const floors: number[] = [];
    for (let round = 0; round < rounds; round++) {
      // By turns: what the disk has yet to do for others is in both.
      if (repository === 'fs') floors.push(await copyAndSync(plain, join(work, 'copy')));
      const begin = performance.now();
      await client.install({ repository, size, lifetime: 'boot' }, createReadStream(file, { highWaterMark: 1 << 20 }));
      samples.push(performance.now() - begin);
      await client.call('uninstall', { container: 'big:1.0.0', wipe: false, lifetime: undefined });
    }
    if (floors.length > 0) yield row('repositories', floor, 'ms', floors);
    yield row('repositories', `install 50 MB into ${repository}`, 'ms', samples, floor);
  }
  client.close();
}

async function copyAndSync(from: string, to: string): Promise<number> {
  const begin = performance.now();
  await cp(from, to, { force: true });
  const file = await open(to, 'r+');
  await file.sync();
  await file.close();
  await fsyncDirectory(join(to, '..'));
  const took = performance.now() - begin;
  await rm(to);
  return took;
}
