// bench/rest: what the runtime weighs asleep and awake, what a wake costs, quiet and beside two endless loops, how often it wakes
// when nothing happens, how long a question to a sleeper waits, and what of all this is written to the disk.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { connectConsole } from '../../src/client/console-client.ts';
import { asleep, statusOf } from '../support/sleeper.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { probePackage } from '../support/packages.ts';
import { row, type Row } from './measure.ts';
import { familyOf, rollupOf } from './process-memory.ts';

/** How long nothing happens, in ms. */
const quiet = 30_000;
const questions = 5;

export async function* bench(): AsyncGenerator<Row> {
  const packages: string[] = [];
  for (let i = 0; i < 200; i++) packages.push(await probePackage({ name: `c-${i}`, args: ['stamp', '-', 'sleep'] }));
  for (const count of [0, 50, 200]) {
    const entries = Array.from({ length: count }, (_, i) => `c-${i}: { state: running }`);
    await using daemon = await startDaemon({
      packages: packages.slice(0, count),
      document: (directory) => documentOf(directory, ...entries),
      configuration: 'sleep: { after: 2s }\n',
      asOnDevice: true,
    });
    await daemon.until('everything runs', ({ converged }) => converged);
    daemon.unwatch();
    // One that has started everything weighs more than those that adopt it.
    await asleep(daemon);
    await ask(daemon);
    yield* weights(daemon, `awake, ${count} containers`);
    await asleep(daemon);
    yield* weights(daemon, `asleep, ${count} containers`);
    const disk = files(daemon);
    yield* starts(daemon, `a wake, ${count} containers`);
    if (count === 0) yield* besideLoops(daemon);
    const before = (await statusOf(daemon)).sleep.today;
    await asleep(daemon);
    await pass(quiet);
    // The question itself is one wake.
    const wakes = (await statusOf(daemon)).sleep.today - before - 1;
    yield row('rest', `asleep, ${count} containers: wakes an hour`, 'wakes', [(wakes * 3_600_000) / quiet]);
    const waits: number[] = [];
    const floors: number[] = [];
    for (let i = 0; i < questions; i++) {
      await asleep(daemon);
      waits.push(await ask(daemon));
      floors.push(await ask(daemon));
    }
    yield row(
      'rest',
      `asleep, ${count} containers: connect and list`,
      'ms',
      waits,
      `awake, ${count} containers: connect and list`,
    );
    yield row('rest', `awake, ${count} containers: connect and list`, 'ms', floors);
    const written = [...files(daemon)].filter(([name, state]) => disk.get(name)?.mtimeMs !== state.mtimeMs);
    const bytes = written.reduce((sum, [, { size }]) => sum + size, 0);
    yield row('rest', `${2 * questions} wakes and as many sleeps, ${count} containers: written`, 'bytes', [bytes]);
  }
}

/**
 * The launcher, the reconciler, and the inits with their applications, in KiB. On a device nobody else runs this Node: what the
 * reconciler shares with us counts as its own.
 */
function* weights(daemon: Daemon, when: string): Generator<Row> {
  const reconciler = daemon.reconciler();
  const [own, launcher] = [reconciler === null ? null : rollupOf(reconciler), rollupOf(daemon.pid)?.Pss ?? 0];
  const others = familyOf(daemon.pid).filter((pid) => pid !== reconciler && pid !== daemon.pid);
  const inits = others.reduce((sum, pid) => sum + (rollupOf(pid)?.Pss ?? 0), 0);
  if (own !== null) yield row('rest', `${when}: the reconciler, anonymous`, 'KiB', [own.Anonymous]);
  if (own !== null) yield row('rest', `${when}: the reconciler, resident`, 'KiB', [own.Rss]);
  yield row('rest', `${when}: the launcher, Pss`, 'KiB', [launcher]);
  if (others.length > 0) yield row('rest', `${when}: inits and applications, Pss`, 'KiB', [inits]);
  yield row('rest', `${when}: all processes`, 'KiB', [launcher + inits + (own?.Rss ?? 0)]);
}

/** What it takes from the start of the process until it is ready, as its log says. */
async function* starts(daemon: Daemon, when: string): AsyncGenerator<Row> {
  const taken: Spent[] = [];
  for (let i = 0; i < questions; i++) {
    await asleep(daemon);
    await ask(daemon);
    taken.push(lastStart(daemon));
  }
  yield row(
    'rest',
    `${when}: to ready`,
    'ms',
    taken.map(({ ms }) => ms),
  );
  yield row(
    'rest',
    `${when}: to ready, processor`,
    'ms',
    taken.map(({ cpu }) => cpu),
  );
  yield row(
    'rest',
    `${when}: to ready, switches`,
    'switches',
    taken.map(({ switches }) => switches),
  );
}

async function* besideLoops(daemon: Daemon): AsyncGenerator<Row> {
  const loops = [1, 2].map(() => spawn(process.execPath, ['-e', 'for (;;);']));
  try {
    yield* starts(daemon, 'a wake, 0 containers, beside two loops');
  } finally {
    for (const loop of loops) loop.kill('SIGKILL');
  }
}

interface Spent {
  readonly ms: number;
  readonly cpu: number;
  readonly switches: number;
}

function lastStart(daemon: Daemon): Spent {
  const lines = readFileSync(join(daemon.directory, 'log'), 'utf8').split('\n');
  const last = lines.findLast((line) => line.includes('"msg":"ready"'));
  if (last === undefined) throw new Error('no reconciler has been ready');
  return JSON.parse(last) as Spent;
}

/** What lies on the disk: not the log, and not runDir, which is a tmpfs. */
function files({ directory }: Daemon): Map<string, { readonly mtimeMs: number; readonly size: number }> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const lasting = names.filter((name) => name !== 'log' && !name.startsWith('run'));
  const found = lasting.map((name) => [name, statSync(join(directory, name))] as const);
  return new Map(found.filter(([, stat]) => stat.isFile()));
}

async function ask(daemon: Daemon): Promise<number> {
  const begun = performance.now();
  const client = await connectConsole(daemon.console);
  await client.call('list', null);
  client.close();
  return performance.now() - begun;
}
