// What the launcher executes before the first reconciler, and directories that are locked when a reconciler names them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LockCalls } from '../../support/lock-calls.ts';
import { prioritiesOf } from '../../support/priorities.ts';
import { launcherProgram, startLauncher, type RemoteReconciler } from '../../support/test-launcher.ts';

const calls = join(import.meta.dirname, '../../support/lock-calls.ts');

function lockPath(reconciler: RemoteReconciler, path: string): Promise<void> {
  const { call } = reconciler as unknown as { call(name: keyof LockCalls, path: string): Promise<void> };
  return call('lockPath', path);
}

test('locks the directories that a reconciler names, once, and refuses those of another launcher', async () => {
  await using launcher = await startLauncher({}, { calls, locked: false });
  const reconciler = await launcher.reconciler();
  const [state, run] = [join(launcher.directory, 'state'), join(launcher.directory, 'run')];
  for (const path of [state, run, state]) await lockPath(reconciler, path);
  assert.equal(readFileSync(join(run, '.lock'), 'utf8'), `${launcher.pid}\n`);
  await assert.rejects(lockPath(reconciler, join(launcher.directory, 'third')), { code: 'ENOSPC' });

  process.kill(reconciler.pid, 'SIGKILL');
  const next = await launcher.reconciler();
  await lockPath(next, state);
  await using other = await startLauncher({}, { calls, locked: false });
  await assert.rejects(lockPath(await other.reconciler(), state), {
    code: 'EAGAIN',
    subject: `${state} is in use by process ${launcher.pid}`,
  });
  const args = ['--state-dir', state, '--run-dir', run, '--', '/bin/true'];
  assert.match(spawnSync(launcherProgram(), args, { encoding: 'utf8' }).stderr, /is in use by process/);
});

test('the end of what is executed before the reconciler is no death, however it ends', async () => {
  for (const [first, said] of [
    ['/bin/true', ''],
    ['/bin/false', 'ended with exit code 1; the reconciler does what is left'],
    ['/nowhere', 'ended with exit code 127; the reconciler does what is left'],
  ] as const) {
    await using launcher = await startLauncher({}, { options: ['--first', first] });
    const { remembered } = await launcher.reconciler();
    assert.deepEqual([remembered.hello.starts, remembered.hello.deaths], [1, 0], first);
    if (said === '') assert.equal(launcher.log(), '');
    else await launcher.said(said);
  }
});

test('the first reconciler goes before other programs of the host, and those after it at the pace of containers', async () => {
  await using launcher = await startLauncher();
  const own = getPriority();
  const raisedFrom = (pid: number): string | undefined =>
    /(?:^|\0)NORTHSTATE_RAISED_FROM=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, 'latin1'))?.[1];
  const first = await launcher.reconciler();
  assert.deepEqual([prioritiesOf(first.pid)[0], raisedFrom(first.pid)], [Math.max(own - 10, -20), String(own)]);
  process.kill(first.pid, 'SIGKILL');
  const second = await launcher.reconciler();
  assert.deepEqual([prioritiesOf(second.pid)[0], raisedFrom(second.pid)], [own, undefined]);
});
