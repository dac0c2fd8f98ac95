// A runtime at rest: its reconciler is not there until something happens.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Status } from '../../state/status.ts';
import { patience } from './patience.ts';
import { ready, timesReady, untilLogged } from './successor.ts';
import { documentOf, startDaemon, type Daemon, type DaemonOptions } from './test-daemon.ts';
import { leftovers, openDescriptors } from './leaks.ts';

const limit = patience;

/** Runs a daemon that sleeps `after` a rest, and that nobody watches; ends it and looks at what is left. */
export async function withSleeper(
  packages: readonly string[],
  entries: readonly string[],
  body: (daemon: Daemon) => Promise<void>,
  after = '200ms',
  { configuration = '', ...more }: Pick<DaemonOptions, 'configuration' | 'level' | 'limits' | 'consoles'> = {},
): Promise<void> {
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages,
    document: (directory) => documentOf(directory, ...entries),
    configuration: `sleep: { after: ${after} }\n${configuration}`,
    ...more,
  });
  daemon.unwatch();
  await body(daemon);
  assert.equal(await daemon.stop(), 0, daemon.log());
  assert.deepEqual(await leftovers(daemon.mark, before), [], daemon.log());
}

/** Resolves when the launcher has no reconciler. */
export async function asleep(daemon: Daemon): Promise<void> {
  await eventually('it sleeps', daemon, () => daemon.reconciler() === null);
}

/** Resolves when it has been woken since it slept, without being asked anything. */
export async function awake(daemon: Daemon): Promise<void> {
  await eventually('it is awake', daemon, () => daemon.reconciler() !== null);
}

/** Resolves when a process of the reconciler has been woken for what `act` does, and sleeps again. */
export async function wokenBy(daemon: Daemon, act: () => unknown): Promise<void> {
  let before = 0;
  // What others mount on this host wakes it, too.
  do {
    await asleep(daemon);
    before = await timesReady(daemon);
  } while (daemon.reconciler() !== null);
  await act();
  await untilLogged(daemon, ready, before + 1);
  await asleep(daemon);
}

/** Whether it stays awake for so long, in ms, from now on. */
export async function staysAwake(daemon: Daemon, time: number): Promise<boolean> {
  const pid = daemon.reconciler();
  const end = performance.now() + time;
  while (performance.now() < end) {
    if (pid === null || daemon.reconciler() !== pid) return false;
    await delay(10);
  }
  return true;
}

/** What a reconciler answers, which is woken for it when there is none. */
export async function statusOf(daemon: Daemon): Promise<Status> {
  const { code, stdout, stderr } = await daemon.run('get', '-o', 'json');
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Status;
}

/** For what no event tells to an outsider. */
export async function eventually(what: string, daemon: Daemon, look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + limit;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${limit} ms\n${daemon.log()}`);
    await delay(10);
  }
}
