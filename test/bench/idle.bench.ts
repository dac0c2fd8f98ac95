// bench/idle: what the runtime weighs when nothing happens, what it does then, and how soon it is there again.
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { probePackage } from '../support/packages.ts';
import { row, type Row } from './measure.ts';
import { childrenOf, rollupOf } from './process-memory.ts';

/** How long nothing happens, in ms. */
const quiet = 20_000;
const restarts = 5;

export async function* bench(): AsyncGenerator<Row> {
  const packages: string[] = [];
  for (let i = 0; i < 500; i++) packages.push(await probePackage({ name: `c-${i}`, args: ['stamp', '-', 'sleep'] }));
  for (const count of [0, 50]) {
    await using daemon = await daemonWith(packages, count);
    yield* memory(daemon, count);
    yield* rest(daemon, `at rest, ${count} containers`);
  }
  yield* crashLoop();
  for (const count of [0, 500]) {
    await using daemon = await daemonWith(packages, count);
    const samples: number[] = [];
    for (let i = 0; i < restarts; i++) samples.push(await comeBack(daemon));
    yield row('idle', `reconciler from exec to ready, ${count} containers`, 'ms', samples);
  }
}

async function daemonWith(packages: readonly string[], count: number): Promise<Daemon> {
  const entries = Array.from({ length: count }, (_, i) => `c-${i}: { state: running }`);
  const daemon = await startDaemon({
    packages: packages.slice(0, count),
    document: (dir) => documentOf(dir, ...entries),
  });
  await daemon.until('everything runs', ({ converged }) => converged);
  return daemon;
}

/** Of each program, in KiB. */
function* memory(daemon: Daemon, count: number): Generator<Row> {
  const reconciler = daemon.reconciler();
  const inits = childrenOf(daemon.pid).filter((pid) => pid !== reconciler);
  const programs: [string, readonly number[]][] = [
    ['launcher', [daemon.pid]],
    ['init', inits],
  ];
  if (reconciler !== null) programs.push(['reconciler', [reconciler]]);
  for (const [name, pids] of programs) {
    if (pids.length === 0) continue;
    const rollups = pids.map(rollupOf).filter((each) => each !== null);
    for (const field of ['Rss', 'Pss', 'Private'] as const) {
      yield row(
        'idle',
        `${name} ${field}, ${count} containers`,
        'KiB',
        rollups.map((each) => each[field]),
      );
    }
  }
}

/** Wake-ups of both programs in a minute, and bytes that they had written to disks. */
async function* rest(daemon: Daemon, name: string): AsyncGenerator<Row> {
  const pids = [daemon.pid, daemon.reconciler() ?? daemon.pid];
  await pass(6000); // what was started for the document is ended by then
  const before = { switches: pids.map(switchesOf), bytes: pids.map(writtenBy) };
  await pass(quiet);
  const switches = sum(pids.map(switchesOf)) - sum(before.switches);
  yield row('idle', `${name}: wake-ups a minute`, 'wake-ups', [(switches * 60_000) / quiet]);
  yield row('idle', `${name}: written`, 'bytes', [sum(pids.map(writtenBy)) - sum(before.bytes)]);
}

/** A container that ends at once, again and again. */
async function* crashLoop(): AsyncGenerator<Row> {
  const crash = await probePackage({ name: 'crash', args: ['exit', '1'] });
  const entry = 'crash: { state: running, restart: { backoff: 100ms, maxBackoff: 100ms } }';
  await using daemon = await startDaemon({
    asOnDevice: true,
    packages: [crash],
    document: (dir) => documentOf(dir, entry),
  });
  await daemon.untilContainer('crash', 'has crashed', ({ restarts: count }) => count > 2);
  const pids = [daemon.pid, daemon.reconciler() ?? daemon.pid];
  const disk = diskOf(daemon.directory);
  execFileSync('sync');
  const [before, sectors] = [sum(pids.map(writtenBy)), disk()];
  await pass(quiet / 2);
  execFileSync('sync');
  yield row('idle', 'crash loop: written by the runtime, its log included', 'bytes', [
    sum(pids.map(writtenBy)) - before,
  ]);
  yield row('idle', 'crash loop: written to the disk by the whole machine', 'bytes', [disk() - sectors]);
}

/** Voluntary context switches of all threads: each is a wait that has ended. */
function switchesOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const counts = threads.map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? NaN);
  });
  return sum(counts);
}

/** write_bytes of proc_pid_io(5): what was caused to be written to storage. */
function writtenBy(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? NaN);
}

/** Bytes that were written so far to the device below a path (the kernel's Documentation/admin-guide/iostats.rst). */
function diskOf(path: string): () => number {
  const source = execFileSync('findmnt', ['-no', 'MAJ:MIN', '-T', path], { encoding: 'utf8' }).trim();
  const [major, minor] = source.split(':');
  return () => {
    const line = readFileSync('/proc/diskstats', 'utf8')
      .split('\n')
      .map((each) => each.trim().split(/\s+/))
      .find(([a, b]) => a === major && b === minor);
    return Number(line?.[9] ?? 0) * 512;
  };
}

/** Kills the reconciler; gives the ms from the exec of its successor until it is ready, as their log lines tell. */
async function comeBack(daemon: Daemon): Promise<number> {
  const old = daemon.reconciler();
  if (old === null) throw new Error('there is no reconciler');
  process.kill(old, 'SIGKILL');
  let pid = old;
  const isBack = (): boolean => (pid = daemon.reconciler() ?? old) !== old;
  await daemon.until('ready again', ({ converged }) => isBack() && converged);
  const started = startOf(pid);
  const lines = readFileSync(`${daemon.directory}/log`, 'utf8').trim().split('\n').map(parse);
  const ready = lines.findLast(({ msg }) => msg === 'ready');
  return Date.parse(ready?.time ?? '') - started;
}

function parse(line: string): { msg?: string; time?: string } {
  return line.startsWith('{') ? (JSON.parse(line) as { msg?: string; time?: string }) : {};
}

/** When a process was started, ms since the epoch, to 10 ms (proc_pid_stat(5)). */
function startOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  return Date.now() - uptime * 1000 + ticks * 10;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
