// bench/boot: from exec of `northstate run` to the first instruction of the first and the last application, with a boot plan and
// without one. The floor is a C program that attaches, mounts and starts the same images.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readPackage } from '../../src/npk/open-package.ts';
import { northstate } from '../support/command.ts';
import { patience } from '../support/patience.ts';
import { probePackage } from '../support/packages.ts';
import { cutPower } from '../support/reboot.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { compiled } from './floor.ts';
import { checked, row, type Row } from './measure.ts';

const counts = [1, 50, 200];
const rounds = 5;

interface Times {
  /** ms from the exec to the first instructions. */
  readonly first: number;
  readonly last: number;
}

export async function* bench(): AsyncGenerator<Row> {
  for (const count of counts) {
    const files = await Promise.all(Array.from({ length: count }, (_, index) => packageOf(index)));
    const floor = await repeated(() => floorTimes(files));
    yield* rowsOf(`${count}, floor`, floor);
    const daemon = await startDaemon({ packages: files, document: (dir) => documentOf(dir, ...names(count)) });
    // A runtime that is released keeps nobody waiting by itself.
    const awake = setInterval(() => undefined, 60_000);
    try {
      await daemon.until('converged', ({ converged }) => converged);
      await planned(daemon);
      await cutPower(daemon);
      const with_ = await repeated(() => bootTimes(daemon, count));
      yield* rowsOf(`${count}, with a plan`, with_, `${count}, floor`);
      yield* rowsOf(`${count}, dropped caches`, [await dropped(() => bootTimes(daemon, count))], `${count}, floor`);
      const without = await repeated(() => bootTimes(daemon, count, 'bootPlan: never\n'));
      yield* rowsOf(`${count}, without one`, without, `${count}, floor`);
    } finally {
      clearInterval(awake);
      await rm(daemon.directory, { recursive: true, force: true });
    }
  }
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `boot-${index}: { version: 1.0.0 }`);
}

/** It stamps once, then sleeps; what it writes goes straight to the log of the runtime. */
function packageOf(index: number): Promise<string> {
  const fields = 'io: { stdout: inherit, stderr: discard }\nmounts: { /proc: { type: proc } }\n';
  return probePackage({ name: `boot-${index}`, args: ['stamp', '-', 'sleep'], fields });
}

function* rowsOf(name: string, times: readonly Times[], floor?: string): Generator<Row> {
  for (const which of ['first', 'last'] as const) {
    const samples = times.map((each) => each[which]);
    yield row('boot', `${name}, ${which}`, 'ms', samples, floor === undefined ? undefined : `${floor}, ${which}`);
  }
}

async function repeated(measure: () => Promise<Times>): Promise<Times[]> {
  const all: Times[] = [];
  for (let round = 0; round < rounds; round++) all.push(await measure());
  return all;
}

async function dropped(measure: () => Promise<Times>): Promise<Times> {
  await checked('sh', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches']);
  return await measure();
}

function timesOf(begin: bigint, stamps: readonly bigint[]): Times {
  const since = stamps.map((stamp) => Number(stamp - begin) / 1e6);
  return { first: Math.min(...since), last: Math.max(...since) };
}

async function floorTimes(files: readonly string[]): Promise<Times> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-boot-floor-'));
  const { image } = await readPackage(files[0] ?? '');
  const words = [directory, String(image.offset), String(image.size), image.type, ...files];
  const program = await compiled('boot-floor');
  const begin = process.hrtime.bigint();
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  await once(child, 'close');
  await rm(directory, { recursive: true });
  return timesOf(begin, text.trim().split('\n').map(BigInt));
}

async function planned({ directory }: Daemon): Promise<void> {
  const late = performance.now() + patience;
  while (!existsSync(join(directory, 'state/boot.plan'))) {
    if (performance.now() > late) throw new Error('no boot plan');
    await delay(20);
  }
}

/** `more`: further fields of the configuration, which then has no plan and no summary either. */
async function bootTimes(daemon: Daemon, count: number, more = ''): Promise<Times> {
  const path = (name: string): string => join(daemon.directory, name);
  const config = path(more === '' ? 'config.yaml' : 'other.yaml');
  if (more !== '') await writeFile(config, readFileSync(path('config.yaml'), 'utf8') + more);
  const log = path('stamps');
  const fd = openSync(log, 'w');
  const begin = process.hrtime.bigint();
  const child = spawn(northstate, ['run', '--config', config], { stdio: ['ignore', fd, fd] });
  closeSync(fd);
  const exited = once(child, 'exit').then(() => 0);
  const late = performance.now() + patience;
  let stamps: bigint[] = [];
  while (stamps.length < count) {
    if (performance.now() > late)
      throw new Error(`${stamps.length} of ${count} have started:\n${readFileSync(log, 'utf8')}`);
    await delay(20);
    stamps = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => /^\d{6,}$/.test(line))
      .map(BigInt);
  }
  // Whoever comes up meanwhile is not to be in the way of the next.
  await delay(500);
  await cutPower({ ...daemon, pid: child.pid ?? 0, exited, release: () => undefined });
  return timesOf(begin, stamps);
}
