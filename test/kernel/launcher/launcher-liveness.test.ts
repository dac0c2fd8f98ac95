// A reconciler that does not answer, and an end that takes too long: the launcher waits for neither for ever.
import assert from 'node:assert/strict';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import type { Attempt } from '../../../native/wire/launcher.ts';
import type { Op } from '../../../native/wire/ops.ts';
import { probe } from '../../support/packages.ts';
import { startLauncher, type RemoteReconciler, type TestLauncher } from '../../support/test-launcher.ts';
import { opened } from '../../support/values.ts';

const NAMESPACES = 0x20000000 | 0x20000 | 0x08000000 | 0x04000000 | 0x40000000; // PID, mount, IPC, UTS, network
const record = Buffer.alloc(0);
const impatient = { options: ['--patience', '1'] };

/** Starts the probe in a container of its own; gives what the launcher tells of it once it runs. */
async function start(
  launcher: TestLauncher,
  reconciler: RemoteReconciler,
  id: number,
  ...program: readonly string[]
): Promise<Attempt> {
  const root = join(launcher.directory, `root${id}`);
  await mkdir(root);
  await copyFile(await probe(), join(root, 'probe'));
  const ops: Op[] = [
    { op: 'namespaces', flags: NAMESPACES },
    { op: 'root', fd: opened({ tree: root }) },
    { op: 'pivot' },
  ];
  await reconciler.call('prepare', { id, name: `box${id}:1.0.0`, hash: 'ab'.repeat(32), record, ops });
  const exec: Op = { op: 'exec', path: '/probe', arguments: ['/probe', ...program], environment: [] };
  await reconciler.call('go', { id, after: 0, record, ops: [exec] });
  return (await reconciler.next('attempt', (seen) => seen.id === id && seen.state === 'running'))[0];
}

test('a reconciler that is stopped is killed and started anew, and the containers run on', async () => {
  await using launcher = await startLauncher({}, impatient);
  const first = await launcher.reconciler();
  const { pid } = await start(launcher, first, 1, 'sleep');
  process.kill(first.pid, 'SIGSTOP');
  await launcher.said('the reconciler is killed: it does not answer');
  const second = await launcher.reconciler();
  assert.deepEqual(
    second.remembered.attempts.map(({ state, pid: now }) => [state, now]),
    [['running', pid]],
  );
});

test('one that has nothing to say but answers is left alone', async () => {
  await using launcher = await startLauncher({}, impatient);
  const reconciler = await launcher.reconciler();
  await reconciler.call('drop', 'nothing');
  await delay(5000);
  await reconciler.call('drop', 'nothing');
  assert.equal(launcher.log(), '');
});

test('an end that the reconciler does not bring about is the launcher’s: TERM, then KILL', async () => {
  await using launcher = await startLauncher({}, impatient);
  const reconciler = await launcher.reconciler();
  await start(launcher, reconciler, 1, 'sleep');
  await start(launcher, reconciler, 2, 'ignore', '15', 'sleep');
  const begun = performance.now();
  launcher.signal('SIGTERM');
  assert.equal(await launcher.exited, 1);
  const took = performance.now() - begun;
  assert.match(
    launcher.log(),
    /the reconciler has not stopped the containers in time: the containers are ended without it/,
  );
  // One second for its word, ten for the container that ignores the signal.
  assert.ok(took > 10_000 && took < 40_000, `${took} ms`);
});

test('it has as long as it says, and some time more; what it says first counts', async () => {
  await using launcher = await startLauncher({}, impatient);
  const reconciler = await launcher.reconciler();
  await start(launcher, reconciler, 1, 'sleep');
  const begun = performance.now();
  launcher.signal('SIGTERM');
  await reconciler.next('terminate');
  await reconciler.call('ending', 2000);
  await reconciler.call('ending', 3_600_000);
  assert.equal(await launcher.exited, 1);
  const took = performance.now() - begun;
  assert.ok(took > 3000 && took < 20_000, `${took} ms`);
});

test('a normal end kills nobody', async () => {
  await using launcher = await startLauncher({}, impatient);
  const reconciler = await launcher.reconciler();
  launcher.signal('SIGTERM');
  await reconciler.next('terminate');
  await reconciler.call('ending', 1000);
  await reconciler.call('stop', 0);
  await reconciler.call('exit', 0).catch(() => undefined);
  assert.equal(await launcher.exited, 0);
  assert.equal(launcher.log(), '');
});
