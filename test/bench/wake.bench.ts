// bench/wake: how long a wake takes, with nothing and with 500 containers, quiet and beside two endless loops, and what the
// processor is switched by a start and an exit of a container.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { connectConsole } from '../../src/client/console-client.ts';
import { probePackage } from '../support/packages.ts';
import { asleep } from '../support/sleeper.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { installOwn } from './own-programs.ts';
import { row, type Row } from './measure.ts';
import { ask, wakes } from './reconciler-start.ts';

const rounds = 7;
const many = 500;

export async function* bench(): AsyncGenerator<Row> {
  const packages: string[] = [];
  for (let i = 0; i < many; i++) packages.push(await probePackage({ name: `c-${i}`, args: ['sleep'] }));
  await using installation = await installOwn();
  for (const count of [0, many]) {
    const entries = Array.from({ length: count }, (_, i) => `c-${i}: { state: running }`);
    await using daemon = await startDaemon({
      packages: packages.slice(0, Math.max(1, count)),
      document: (directory) =>
        documentOf(directory, ...(count === 0 ? ['c-0: { state: mounted, restart: { policy: never } }'] : entries)),
      configuration: 'sleep: { after: 300ms }\n',
      asOnDevice: true,
      program: installation.program,
      env: installation.env,
    });
    await daemon.until('everything runs', ({ converged }) => converged);
    daemon.unwatch();
    // One that has started everything is no measure for those that adopt it, nor the first that finds nothing compiled.
    await asleep(daemon);
    await ask(daemon);
    yield* wakes('wake', daemon, `${count} containers`, rounds);
    if (count > 0) continue;
    yield* besideLoops(daemon);
    yield* switches(daemon);
  }
}

async function* besideLoops(daemon: Daemon): AsyncGenerator<Row> {
  const loops = [1, 2].map(() => spawn(process.execPath, ['-e', 'for (;;);']));
  try {
    yield* wakes('wake', daemon, '0 containers, beside two loops', rounds);
  } finally {
    for (const loop of loops) loop.kill('SIGKILL');
  }
}

/** Of one that is awake: what a start takes it, and an exit. */
async function* switches(daemon: Daemon): AsyncGenerator<Row> {
  const client = await connectConsole(daemon.console, { subscribe: true });
  await client.call('events', { since: null, boot: null, follow: true });
  const seen = { start: [] as number[], exit: [] as number[] };
  const container = 'c-0:1.0.0';
  for (let i = 0; i < rounds; i++) {
    const before = switchesOf(daemon);
    await client.call('start', { container, init: null, arguments: [], environment: {} });
    await pass(500);
    const started = switchesOf(daemon);
    seen.start.push(started - before);
    const { data } = await client.call('inspect', { container });
    const between = switchesOf(daemon);
    process.kill((data as { process: { pid: number } }).process.pid, 'SIGKILL');
    await pass(500);
    seen.exit.push(switchesOf(daemon) - between);
  }
  client.close();
  yield row('wake', 'a start over the console, written to the document: switches', 'switches', seen.start);
  yield row('wake', 'an exit: switches', 'switches', seen.exit);
}

function switchesOf(daemon: Daemon): number {
  const pid = daemon.reconciler() ?? NaN;
  const counts = readdirSync(`/proc/${pid}/task`).map((task) => {
    const text = readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8');
    return [...text.matchAll(/ctxt_switches:\s+(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  });
  return counts.reduce((sum, count) => sum + count, 0);
}
