import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole } from '../../../src/client/console-client.ts';
import type { Status } from '../../../state/status.ts';
import { change, chaosDocument, chaosPackages, differences, lost, type Entries } from '../../support/chaos.ts';
import { startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { ended } from '../../support/scenario.ts';
import { createRandom, type Random } from '../../sim/random.ts';
import { killReconciler, ready, timesReady, untilLogged } from '../../support/successor.ts';

const rounds = 200;
const lanes = 4;
/** A launcher lets a reconciler that keeps dying wait ever longer; so it is not for long the same one. */
const roundsPerLauncher = 4;

/** It sleeps as soon as it rests. */
const configuration = 'sleep: { after: 10ms }\n';
/** ms that it is waited for; one that has been woken often stays awake. */
const nap = 500;

const seed = Number(process.env['NORTHSTATE_CHAOS_SEED'] ?? randomInt(2 ** 31));

test(`${rounds} random changes are reached although the reconciler is killed or sleeps over each, and nothing is lost that stays`, async () => {
  const before = openDescriptors();
  const packages = await chaosPackages();
  const marks = await Promise.all(Array.from({ length: lanes }, (_, lane) => runLane(seed + lane, packages)));
  for (const mark of marks) assert.deepEqual(await leftovers(mark, before), []);
});

/** A number of launchers, one after another on the same directories; gives what their leftovers are known by. */
async function runLane(laneSeed: number, packages: readonly string[]): Promise<string> {
  const random = createRandom(laneSeed);
  await using daemons = new AsyncDisposableStack();
  const first = daemons.use(
    await startDaemon({
      packages,
      configuration,
      document: (directory) => chaosDocument(directory, new Map(), 'round-0'),
    }),
  );
  let daemon = first;
  let entries: Entries = new Map();
  for (let round = 1; round <= rounds / lanes; round++) {
    try {
      if (round % roundsPerLauncher === 0) {
        await end(daemon, random);
        // The first one is disposed of at the end, with the directories of all.
        if (daemon !== first) daemon.release();
        daemon = daemons.use(await startDaemon({ packages: [], configuration, directory: first.directory }));
        await settled(daemon, entries, `round-${round - 1}`);
      }
      entries = await runRound(daemon, entries, round, random);
    } catch (error) {
      const what = `round ${round} of the lane with seed ${laneSeed}; NORTHSTATE_CHAOS_SEED=${seed} repeats the run`;
      throw new Error(`${what}\n${error instanceof Error ? error.message : String(error)}\n${daemon.log()}`, {
        cause: error,
      });
    }
  }
  process.kill(daemon.pid, 'SIGTERM');
  assert.equal(await ended(daemon), 0, daemon.log());
  return first.mark;
}

async function runRound(daemon: Daemon, entries: Entries, round: number, random: Random): Promise<Entries> {
  const mark = `round-${round}`;
  const before = await daemon.until('a status', () => true);
  const next = change(entries, random);
  await daemon.write(chaosDocument(daemon.repository, next, mark));
  await delay(random.between(0, 50));
  if (random.chance(0.5)) {
    const nth = await timesReady(daemon);
    await killReconciler(daemon);
    await untilLogged(daemon, ready, nth + 1);
  } else {
    for (let left = nap; left > 0 && daemon.reconciler() !== null; left -= 10) await delay(10);
  }
  const after = await settled(daemon, next, mark);
  assert.deepEqual(lost(before, after, entries, next), [], mark);
  return next;
}

/** The status when the document with this mark is reached, or has failed for good where it has to. */
async function settled(daemon: Daemon, entries: Entries, mark: string): Promise<Status> {
  const { generation } = await daemon.until(`${mark} is in force`, ({ containers }) => mark in containers);
  const client = await connectConsole(daemon.console);
  try {
    const { result } = await client.call('wait', { generation, timeout: 30_000 });
    assert.notEqual(result, 'timeout', mark);
    // What ends by itself may have been seen running.
    let left: string[] = [];
    return await daemon
      .until(`${mark} is reached`, (status) => (left = differences(status, entries, mark)).length === 0)
      .catch((error: unknown) => assert.fail(`${mark}, ${result}: ${left.join('\n')}\n${String(error)}`));
  } finally {
    client.close();
  }
}

/** In order, or with everything at once. */
async function end(daemon: Daemon, random: Random): Promise<void> {
  const signal = random.chance(0.5) ? 'SIGTERM' : 'SIGKILL';
  process.kill(daemon.pid, signal);
  assert.equal(await ended(daemon), signal === 'SIGTERM' ? 0 : signal, daemon.log());
}
