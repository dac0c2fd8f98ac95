// bench/converge: an empty runtime is given a document with many containers, until the last application's first
// instruction; then one more is added. And the same from exec of the daemon, with the document already there.
import { readFileSync } from 'node:fs';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { probePackage } from '../support/packages.ts';
import { row, type Row } from './measure.ts';
import { linesOf } from './rounds.ts';

const sizes = [1, 10, 50, 100, 200, 500];
const most = 500;
const repeats = 3;
/** Unit of the times in /proc/PID/stat, in ms (sysconf(_SC_CLK_TCK) is 100 on Linux). */
const tick = 10;

export async function* bench(): AsyncGenerator<Row> {
  const packages: string[] = [];
  for (let i = 0; i <= most; i++) packages.push(await probePackage({ name: `c-${i}`, args: ['stamp', '-', 'sleep'] }));
  for (const size of sizes) {
    const whole: number[] = [];
    const more: number[] = [];
    const processor: number[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) {
      const { all, one, cpu } = await grow(packages.slice(0, size + 1), size);
      whole.push(all);
      more.push(one);
      processor.push(cpu);
    }
    yield row('converge', `${size} containers`, 'ms', whole);
    yield row('converge', oneMore(size), 'ms', more, size > 1 ? oneMore(1) : undefined);
    yield row('converge', `processor time per container, ${size}`, 'ms', processor);
  }
  for (const size of [200, 500]) {
    const samples: number[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) samples.push(await fromExec(packages.slice(0, size), size));
    yield row('converge', `${size} containers from exec of the daemon`, 'ms', samples);
  }
}

/** What it costs beside none is the floor of what it costs beside many. */
function oneMore(size: number): string {
  return `one more beside ${size}`;
}

function entries(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `c-${i}: { state: running }`);
}

async function grow(packages: readonly string[], size: number): Promise<{ all: number; one: number; cpu: number }> {
  await using daemon = await startDaemon({ asOnDevice: true, packages, document: (dir) => documentOf(dir) });
  await daemon.until('nothing is asked for', ({ converged }) => converged);
  const idle = processorTime(daemon);
  const all = await give(daemon, size);
  const cpu = (processorTime(daemon) - idle) / size;
  const one = await give(daemon, size + 1);
  return { all, one, cpu };
}

/** Writes a document with so many containers; gives the ms until the last one's first instruction. */
async function give(daemon: Daemon, count: number): Promise<number> {
  const begin = process.hrtime.bigint();
  await daemon.write(documentOf(daemon.repository, ...entries(count)));
  await running(daemon, count);
  return Number((await lastStamp(daemon, count)) - begin) / 1e6;
}

async function fromExec(packages: readonly string[], size: number): Promise<number> {
  const begin = process.hrtime.bigint();
  await using daemon = await startDaemon({
    asOnDevice: true,
    packages,
    document: (dir) => documentOf(dir, ...entries(size)),
  });
  await running(daemon, size);
  return Number((await lastStamp(daemon, size)) - begin) / 1e6;
}

async function running(daemon: Daemon, count: number): Promise<void> {
  await daemon.until(
    `${count} run`,
    ({ converged, containers }) => converged && Object.keys(containers).length === count,
  );
}

async function lastStamp({ console: url }: Daemon, count: number): Promise<bigint> {
  let last = 0n;
  for (let i = 0; i < count; i++) {
    const [stamp = '0'] = await linesOf(url, `c-${i}`, () => true);
    if (BigInt(stamp) > last) last = BigInt(stamp);
  }
  return last;
}

/** utime and stime of the reconciler in ms (proc_pid_stat(5)). */
function processorTime(daemon: Daemon): number {
  const stat = readFileSync(`/proc/${daemon.reconciler() ?? 'self'}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tick;
}
