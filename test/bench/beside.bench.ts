// bench/beside: what one container more costs beside those that run, in the reconciler's processor time and in bytes on the disk;
// and what the boot plan costs that is made once nothing has changed for a while.
import { readFileSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { connect } from '../../src/client/northstate.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { probePackage } from '../support/packages.ts';
import { row, type Row } from './measure.ts';

const sizes = [1, 50, 500];
const rounds = 5;
/** ms after a round; beside many a boot plan is made later. */
const lull = 1000;
/** The same until one has been made for certain. */
const quiet = 10_000;
/** Unit of the times in /proc/PID/stat, in ms (sysconf(_SC_CLK_TCK) is 100 on Linux). */
const tick = 10;

export async function* bench(): AsyncGenerator<Row> {
  const packages: string[] = [];
  for (let i = 0; i <= Math.max(...sizes); i++) packages.push(await probePackage({ name: `c-${i}`, args: ['sleep'] }));
  for (const size of sizes) yield* beside(packages.slice(0, size + 1), size);
}

/** Rounds beside so many: the file is edited twice, then a console starts one and stops it. */
async function* beside(packages: readonly string[], size: number): AsyncGenerator<Row> {
  const document = (count: number) => (dir: string) => documentOf(dir, ...entries(count));
  await using daemon = await startDaemon({ asOnDevice: true, packages, document: document(size) });
  await running(daemon, size);
  const edits = async (): Promise<void> => {
    for (const count of [size + 1, size]) {
      await daemon.write(document(count)(daemon.repository));
      await running(daemon, count);
    }
  };
  await using client = await connect({ url: daemon.console });
  const commands = async (): Promise<void> => {
    await client.start(`c-${size}:1.0.0`, { lifetime: 'document' });
    await client.call('stop', { name: `c-${size}`, lifetime: 'document', timeout: 60_000 });
    await daemon.until('it rests', ({ converged }) => converged);
  };
  for (const [name, round] of [
    ['two edits', edits],
    ['a start, a stop', commands],
  ] as const) {
    const processor: number[] = [];
    const bytes: number[] = [];
    for (let count = 0; count <= rounds; count++) {
      await pass(lull);
      const before = [processorTime(daemon), written(daemon)] as const;
      await round();
      await pass(lull);
      if (count === 0) continue; // what is compiled later is compiled now
      processor.push(processorTime(daemon) - before[0]);
      bytes.push((written(daemon) - before[1]) / 1000);
    }
    const title = (count: number): string => `${name} beside ${count}, processor time`;
    yield row('beside', title(size), 'ms', processor, size > 1 ? title(1) : undefined);
    yield row('beside', `${name} beside ${size}, written`, 'kB', bytes);
  }
  await pass(quiet);
  const before = [processorTime(daemon), written(daemon)] as const;
  await commands();
  const between = [processorTime(daemon), written(daemon)] as const;
  await pass(quiet);
  const plan = (count: number): string => `the boot plan beside ${count}`;
  const time = (count: number): string => `${plan(count)}, processor time`;
  yield row('beside', time(size), 'ms', [processorTime(daemon) - between[0]], size > 1 ? time(1) : undefined);
  yield row('beside', `${plan(size)} and what goes before it, written`, 'kB', [(written(daemon) - before[1]) / 1000]);
}

function entries(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `c-${i}: { state: running }`);
}

async function running(daemon: Daemon, count: number): Promise<void> {
  await daemon.until(
    `${count} run`,
    ({ converged, containers }) => converged && Object.keys(containers).length === count,
  );
}

/** utime and stime of the reconciler in ms (proc_pid_stat(5)). */
function processorTime(daemon: Daemon): number {
  const stat = readFileSync(`/proc/${daemon.reconciler() ?? 'self'}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tick;
}

/** Bytes that the reconciler caused to be written to disks (proc_pid_io(5)). */
function written(daemon: Daemon): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${daemon.reconciler() ?? 'self'}/io`, 'utf8'))?.[1]);
}
