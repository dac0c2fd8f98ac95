// bench/start: from the request `start` on the console to the first instruction of the application, image mounted. The
// floor is a C program that does the same system calls and nothing else; crun, runc and bwrap are measured where installed.
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole, type Client } from '../../src/client/console-client.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { probePackage } from '../support/packages.ts';
import { openFloor, peers, type Floor } from './floor.ts';
import { fullFloor, fullManifest, fullResource } from './full-manifest.ts';
import { row, type Row } from './measure.ts';
import { mountedImage } from './mounted.ts';
import { onceEnded, linesOf } from './rounds.ts';

const rounds = 200;
const rest = 50;
const stamp = ['stamp', '-'];
const proc = 'mounts: { /proc: { type: proc } }\n';
const limits = 'cgroups: { cpu: { shares: 512 }, memory: { memory_hard_limit: 100000000 } }\n';

interface Case {
  readonly name: string;
  readonly container: string;
  /** ms before each start, and before each round of the floor. */
  readonly rest: number;
  /** As many as of the others when left out. */
  readonly rounds?: number;
}

const cases: readonly Case[] = [
  { name: 'back to back', container: 'plain', rest: 0 },
  { name: 'after 50 ms', container: 'plain', rest },
  { name: 'prepared, after 10 ms', container: 'ready', rest: 10 },
  { name: 'prepared, after 50 ms', container: 'ready', rest },
  // It is made in advance once nothing has changed for a while.
  { name: 'in advance, after 500 ms', container: 'readied', rest: 500, rounds: 30 },
];

const limitedCases: readonly Case[] = [
  { name: 'cgroups, back to back', container: 'limited', rest: 0 },
  { name: 'cgroups, after 50 ms', container: 'limited', rest },
  { name: 'prepared, cgroups, after 50 ms', container: 'ready-limited', rest },
];

const fullCases: readonly Case[] = [
  { name: 'full manifest, back to back', container: 'full', rest: 0 },
  { name: 'full manifest, after 50 ms', container: 'full', rest },
  { name: 'full manifest, prepared, after 50 ms', container: 'ready-full', rest },
];

const entry = '{ state: mounted, prepare: false, restart: { policy: never } }';
const readied = '{ state: mounted, restart: { policy: never } }';
const keep = '{ state: mounted, prepare: true, restart: { policy: never } }';

export async function* bench(): AsyncGenerator<Row> {
  const plain = await probePackage({ name: 'plain', args: stamp, fields: proc });
  const limited = await probePackage({ name: 'limited', args: stamp, fields: proc + limits });
  const ready = await probePackage({ name: 'ready', args: stamp, fields: proc });
  const readyLimited = await probePackage({ name: 'ready-limited', args: stamp, fields: proc + limits });
  const flood = await probePackage({ name: 'flood', args: ['flood'] });
  await using image = await mountedImage(plain);
  for await (const [name, samples] of peers(image.path, 50)) yield row('start', name, 'ms', samples);

  const inAdvance = await probePackage({ name: 'readied', args: stamp, fields: proc });
  const kept = [`ready: ${keep}`, `ready-limited: ${keep}`, `readied: ${readied}`];
  const entries = [`plain: ${entry}`, `limited: ${entry}`, ...kept];
  const packages = [plain, limited, ready, readyLimited, inAdvance];
  await using daemon = await startDaemon({
    asOnDevice: true,
    packages,
    document: (dir) => documentOf(dir, ...entries),
  });
  await daemon.until('everything mounted', ({ converged }) => converged);
  await using floor = await openFloor(image.path);
  await using floorWithGroups = await openFloor(image.path, image.groups);
  for (const each of cases) yield* measure(daemon, each, floor);
  for (const each of limitedCases) yield* measure(daemon, each, floorWithGroups);
  yield* withFullManifest();
  yield* besideImages(500, floor);
  yield* underFlood(flood, floor);
}

/** All kinds of mounts, the default profile and control groups; the floor does the same. */
async function* withFullManifest(): AsyncGenerator<Row> {
  const fields = fullManifest + limits;
  const full = await probePackage({ name: 'full', args: stamp, fields });
  const ready = await probePackage({ name: 'ready-full', args: stamp, fields });
  await using image = await mountedImage(full);
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'northstate-full-'));
  const more = await fullFloor(image.path, join(scratch.path, 'filter'));
  await using floor = await openFloor(image.path, image.groups, more);

  await using daemon = await startDaemon({
    asOnDevice: true,
    packages: [full, ready, fullResource],
    document: (dir) => documentOf(dir, `full: ${entry}`, `ready-full: ${keep}`),
  });
  await daemon.until('everything mounted', ({ converged }) => converged);
  for (const each of fullCases) yield* measure(daemon, each, floor);
}

/** Other images that are mounted. */
async function* besideImages(count: number, floor: Floor): AsyncGenerator<Row> {
  const packages: string[] = [await probePackage({ name: 'plain', args: stamp, fields: proc })];
  const entries = [`plain: ${entry}`];
  for (let i = 0; i < count; i++) {
    packages.push(await probePackage({ name: `c-${i}`, args: ['stamp', '-', 'sleep'] }));
    entries.push(`c-${i}: { state: mounted }`);
  }
  await using daemon = await startDaemon({
    asOnDevice: true,
    packages,
    document: (dir) => documentOf(dir, ...entries),
  });
  await daemon.until('all are mounted', ({ converged }) => converged);
  yield* measure(daemon, { name: `beside ${count} images`, container: 'plain', rest: 0 }, floor);
}

/** Ten containers that write without end beside the one that is started. */
async function* underFlood(flood: string, floor: Floor): AsyncGenerator<Row> {
  const packages: string[] = [await probePackage({ name: 'plain', args: stamp, fields: proc })];
  const entries = [`plain: ${entry}`];
  for (let i = 0; i < 10; i++) {
    packages.push(await probePackage({ name: `flood-${i}`, args: ['flood'] }));
    entries.push(`flood-${i}: { state: running }`);
  }
  packages.push(flood);
  await using daemon = await startDaemon({
    asOnDevice: true,
    packages,
    document: (dir) => documentOf(dir, ...entries),
  });
  await daemon.until('the flood runs', ({ converged }) => converged);
  yield* measure(daemon, { name: 'beside ten floods', container: 'plain', rest: 0 }, floor);
}

/** The floor's rounds and the starts by turns. */
async function* measure(daemon: Daemon, measured: Case, floor: Floor): AsyncGenerator<Row> {
  const { name, container, rest: pause, rounds: count = rounds } = measured;
  const client = await connectConsole(daemon.console, { subscribe: true });
  const samples: { floor: number; start: number }[] = [];
  try {
    for (let round = 0; round < count; round++) {
      await delay(pause);
      const { start } = await floor.round();
      samples.push({ floor: start, start: await startOnce(client, daemon.console, `${container}:1.0.0`, pause) });
    }
  } finally {
    client.close();
  }
  const least = `floor: ${name}`;
  yield row(
    'start',
    least,
    'ms',
    samples.map((each) => each.floor),
  );
  yield row(
    'start',
    name,
    'ms',
    samples.map((each) => each.start),
    least,
  );
}

async function startOnce(client: Client, url: string, container: string, pause: number): Promise<number> {
  await delay(pause);
  const begin = process.hrtime.bigint();
  const ended = onceEnded(client, container);
  await client.call('start', { container, init: null, arguments: [], environment: {}, lifetime: undefined });
  await ended;
  const [first = '0'] = await linesOf(url, container, () => true);
  // Back to `mounted`, where `prepare` keeps a sandbox ready.
  const [name = ''] = container.split(':');
  if (name.startsWith('ready') || name === 'readied')
    await client.call('stop', { name, lifetime: undefined, timeout: undefined });
  return Number(BigInt(first) - begin) / 1e6;
}
