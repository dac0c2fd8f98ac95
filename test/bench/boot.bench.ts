// bench/boot: from exec of `northstate run`, as it is installed, to the first instruction of the first and the last application:
// with a boot plan and without one, from warm and from dropped caches, and beside two programs that never rest. The floor is a C
// program that attaches, mounts and starts the same images.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { copyFile, cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { northstate } from '../support/command.ts';
import { patience } from '../support/patience.ts';
import { probePackage } from '../support/packages.ts';
import { cutPower } from '../support/reboot.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { bootFloor } from './boot-floor.ts';
import { checked, row, type Row } from './measure.ts';

/** NORTHSTATE_BENCH_COUNTS=1,50 measures fewer. */
const counts = (process.env['NORTHSTATE_BENCH_COUNTS'] ?? '1,50,200').split(',').map(Number);
const [rounds, coldRounds] = [5, 3];

interface Times {
  /** ms from the exec to the first instructions. */
  readonly first: number;
  readonly last: number;
}

/** What is measured each way: the floor, and boots. */
interface Subject {
  readonly name: string;
  readonly measure: () => Promise<Times>;
}

export async function* bench(): AsyncGenerator<Row> {
  await using installed = await install();
  for (const count of counts) {
    const files = await Promise.all(Array.from({ length: count }, (_, index) => packageOf(index)));
    const document = (dir: string): string => documentOf(dir, ...names(count));
    const daemon = await startDaemon({ packages: files, document, asOnDevice: true });
    // A runtime that is released keeps nobody waiting by itself.
    const awake = setInterval(() => undefined, 60_000);
    try {
      await daemon.until('converged', ({ converged }) => converged);
      await kept(daemon);
      await cutPower(daemon);
      const subjects: readonly Subject[] = [
        { name: 'floor', measure: () => floorTimes(files) },
        { name: 'with a plan', measure: () => bootTimes(installed.command, daemon, count) },
        { name: 'without one', measure: () => bootTimes(installed.command, daemon, count, 'bootPlan: never\n') },
      ];
      for (const { name, measure } of subjects) {
        await measure(); // keeps its summary
        yield* rowsOf(count, name, '', await repeated(measure, rounds));
        yield* rowsOf(count, name, ', dropped caches', await repeated(() => dropped(measure), coldRounds));
        yield* rowsOf(count, name, ', beside two loops', await besideLoops(() => repeated(measure, rounds)));
      }
    } finally {
      clearInterval(awake);
      await checked('umount', ['-l', daemon.runDir]);
      await rm(daemon.directory, { recursive: true, force: true });
    }
  }
}

/** The command and what belongs to it, in one directory as on a device: nobody looks whether a source is newer. */
async function install(): Promise<{ readonly command: string } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-installed-'));
  const root = join(import.meta.dirname, '../..');
  const build = join(root, '.build');
  await copyFile(northstate, join(directory, 'northstate'));
  await symlink(process.execPath, join(directory, 'node'));
  await cp(join(build, 'bundle'), join(directory, 'bundle'), { recursive: true });
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  for (const name of ['northstate-launcher', 'northstate-player'])
    await copyFile(join(build, name), join(directory, name));
  return {
    command: join(directory, 'northstate'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** As many as there are processors here, usually: each waits out the slice of another. */
async function besideLoops<T>(measure: () => Promise<T>): Promise<T> {
  const loops = [1, 2].map(() => spawn('/bin/sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }));
  try {
    return await measure();
  } finally {
    for (const loop of loops) loop.kill('SIGKILL');
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

function* rowsOf(count: number, name: string, how: string, times: readonly Times[]): Generator<Row> {
  for (const which of ['first', 'last'] as const) {
    const samples = times.map((each) => each[which]);
    const floor = name === 'floor' ? undefined : `${count}, floor${how}, ${which}`;
    yield row('boot', `${count}, ${name}${how}, ${which}`, 'ms', samples, floor);
  }
}

async function repeated(measure: () => Promise<Times>, times: number): Promise<Times[]> {
  const all: Times[] = [];
  for (let round = 0; round < times; round++) all.push(await measure());
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
  const begin = process.hrtime.bigint();
  return timesOf(begin, await bootFloor(files));
}

/** Until what the next boot begins with is kept. */
async function kept({ directory }: Daemon): Promise<void> {
  const late = performance.now() + patience;
  for (const name of ['boot.plan', 'packages.read']) {
    while (!existsSync(join(directory, 'state', name))) {
      if (performance.now() > late) throw new Error(`no ${name}`);
      await delay(20);
    }
  }
}

/** `more`: further fields of the configuration, which then has no plan and no summary either. */
async function bootTimes(command: string, daemon: Daemon, count: number, more = ''): Promise<Times> {
  const path = (name: string): string => join(daemon.directory, name);
  const config = path(more === '' ? 'config.yaml' : 'other.yaml');
  if (more !== '') await writeFile(config, readFileSync(path('config.yaml'), 'utf8') + more);
  const log = path('stamps');
  const fd = openSync(log, 'w');
  const begin = process.hrtime.bigint();
  const env = { ...process.env, NODE_COMPILE_CACHE: join(dirname(command), 'compiled') };
  // As every init system starts its services: in a session of its own, by which some kernels schedule.
  const child = spawn(command, ['run', '--config', config], { stdio: ['ignore', fd, fd], env, detached: true });
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
