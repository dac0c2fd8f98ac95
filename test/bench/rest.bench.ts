// bench/rest: what the runtime weighs asleep and awake, how often it wakes when nothing happens, and how long a question to a
// sleeper waits.
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
    yield row('rest', `awake, ${count} containers: all processes, Pss`, 'KiB', [weight(daemon)]);
    await asleep(daemon);
    yield row('rest', `asleep, ${count} containers: all processes, Pss`, 'KiB', [weight(daemon)]);
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
  }
}

/** The launcher, what it has started and the applications, in KiB. */
function weight(daemon: Daemon): number {
  return familyOf(daemon.pid).reduce((sum, pid) => sum + (rollupOf(pid)?.Pss ?? 0), 0);
}

async function ask(daemon: Daemon): Promise<number> {
  const begun = performance.now();
  const client = await connectConsole(daemon.console);
  await client.call('list', null);
  client.close();
  return performance.now() - begun;
}
