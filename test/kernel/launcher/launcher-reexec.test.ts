// One launcher in the place of another: who proves itself, what is handed over, and what is lost, which is nothing.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Attempt } from '../../../native/wire/launcher.ts';
import type { Op } from '../../../native/wire/ops.ts';
import { probe } from '../../support/packages.ts';
import { patience } from '../../support/patience.ts';
import {
  launcherProgram,
  startLauncher,
  type RemoteReconciler,
  type TestLauncher,
} from '../../support/test-launcher.ts';
import { successorCommand, takeOver } from '../../support/test-successor.ts';
import { opened } from '../../support/values.ts';

const NEWNET = 0x40000000;
const NAMESPACES = 0x20000000 | 0x20000 | 0x08000000 | 0x04000000 | NEWNET; // PID, mount, IPC, UTS, network
const hash = 'ab'.repeat(32);
const record = Buffer.from('a record');
const none = Buffer.alloc(0);

async function prepare(
  launcher: TestLauncher,
  reconciler: RemoteReconciler,
  id: number,
  flags = NAMESPACES,
): Promise<void> {
  const root = join(launcher.directory, 'root');
  await mkdir(root, { recursive: true });
  if (!existsSync(join(root, 'probe'))) await copyFile(await probe(), join(root, 'probe'));
  const ops: Op[] = [
    { op: 'namespaces', flags },
    { op: 'output', stream: 1, mode: 'ring', size: 65536 },
    { op: 'output', stream: 2, mode: 'relay', size: 0 },
    { op: 'root', fd: opened({ tree: root }) },
    { op: 'pivot' },
  ];
  await reconciler.call('prepare', { id, name: `name ${id}`, hash, record, ops });
}

async function go(reconciler: RemoteReconciler, id: number, program: string[], after = 0): Promise<void> {
  const exec: Op = { op: 'exec', path: '/probe', arguments: ['/probe', ...program], environment: [] };
  await reconciler.call('go', { id, after, record, ops: [exec] });
}

const until = async (reconciler: RemoteReconciler, id: number, state: Attempt['state']): Promise<Attempt> =>
  (await reconciler.next('attempt', (attempt) => attempt.id === id && attempt.state === state))[0];

const known = ({ remembered }: RemoteReconciler, id: number): Attempt => {
  const found = remembered.attempts.find((attempt) => attempt.id === id);
  assert.ok(found !== undefined, `attempt ${id}`);
  return found;
};

/** How many descriptors of each kind a process has, but for what a loop is made of. */
function children(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
}

function descriptors(pid: number): string[] {
  const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  return targets.map((target) => target.replace(/\[\d+\]/, '[]')).toSorted();
}

test('what runs, waits, has ended and is kept goes over to another launcher, back and forth', async () => {
  await using launcher = await startLauncher();
  let reconciler = await launcher.reconciler();
  const file = join(launcher.directory, 'kept');
  await reconciler.call('keep', 'one', opened({ file, flags: 'w' }));
  await reconciler.call('record', 0, Buffer.from('remember me'));
  for (const id of [1, 2, 3, 4]) await prepare(launcher, reconciler, id);
  await go(reconciler, 1, ['print', '1', 'before', 'print', '2', 'a line', 'sleep']);
  const before = (await until(reconciler, 1, 'running')).pid;
  await go(reconciler, 2, ['sleep'], 1);
  await go(reconciler, 3, ['exit', '3']);
  await until(reconciler, 3, 'exited');
  await launcher.said('a line');
  const { pid } = launcher;
  for (let round = 1; round <= 4; round++) {
    const open = descriptors(pid);
    reconciler = await takeOver(launcher, reconciler);
    const { hello, global, descriptors: kept } = reconciler.remembered;
    assert.deepEqual([hello.pid, hello.takeovers, hello.starts], [pid, round, round + 1]);
    assert.equal(Buffer.from(global).toString(), 'remember me');
    assert.deepEqual(
      kept.map(([name]) => name),
      ['one'],
    );
    assert.deepEqual(
      reconciler.remembered.attempts.map(({ id, state }) => [id, state]),
      [
        [1, 'running'],
        [2, 'prepared'],
        [3, 'exited'],
        [4, 'prepared'],
      ],
    );
    assert.equal(known(reconciler, 1).pid, before);
    assert.deepEqual(known(reconciler, 3).exit, { code: 3 });
    assert.equal(Buffer.from(known(reconciler, 3).record).toString(), 'a record');
    assert.equal(known(reconciler, 2).after, 1);
    const { data } = await reconciler.call('read', 1, 0, 65536);
    assert.match(Buffer.from(data).toString(), /before/);
    if (round > 1) assert.deepEqual(descriptors(pid), open);
  }
  // The go that waits is sent in the turn in which the other one ends.
  await reconciler.call('kill', 1, 9);
  await until(reconciler, 1, 'exited');
  await until(reconciler, 2, 'running');
  await reconciler.call('kill', 2, 9);
  await until(reconciler, 2, 'exited');
  await reconciler.call('forget', 4);
});

test('an exit in the very moment is told once', async () => {
  await using launcher = await startLauncher();
  let reconciler = await launcher.reconciler();
  for (let id = 1; id <= 10; id++) {
    await prepare(launcher, reconciler, id);
    await go(reconciler, id, ['sleep']);
    const { pid } = await until(reconciler, id, 'running');
    const proof = reconciler.call('prove', await successorCommand(launcher), 60_000);
    const prover = await launcher.reconciler();
    await prover.call('proven', true, none).catch(() => undefined);
    await proof;
    const next = launcher.reconciler();
    void reconciler.call('takeover').catch(() => undefined);
    // Somewhere between the last turn of the one and the first of the other.
    for (let wait = 0; wait < id * 20_000; wait++) Math.sqrt(wait);
    process.kill(pid, 'SIGKILL');
    reconciler = await next;
    const found = known(reconciler, id);
    const ended = found.state === 'exited' ? found : await until(reconciler, id, 'exited');
    assert.deepEqual(ended.exit, { signal: 9 });
    assert.deepEqual(reconciler.unseen('attempt'), []);
  }
});

test('a successor that says no, dies, says nothing or is not there changes nothing, and why is told', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  // In the network of the host: no other namespace is made for the next, which would be open for a while.
  await prepare(launcher, reconciler, 1, NAMESPACES & ~NEWNET);
  await go(reconciler, 1, ['sleep']);
  const open = descriptors(launcher.pid);
  const command = await successorCommand(launcher);

  const refused = reconciler.call('prove', command, 60_000);
  const prover = await launcher.reconciler();
  await assert.rejects(prover.call('kill', 1, 9), { step: 'reexec', code: 'EPERM' });
  await prover.call('record', 1, Buffer.from('another'));
  const one = reconciler.call('prove', command, 60_000);
  await assert.rejects(one, { step: 'reexec', code: 'EBUSY' });
  void prover.call('proven', false, Buffer.from('it would start the broker')).catch(() => undefined);
  await assert.rejects(refused, { code: 'ECANCELED', subject: 'it would start the broker' });

  const killed = reconciler.call('prove', command, 60_000);
  process.kill((await launcher.reconciler()).pid, 'SIGSEGV');
  await assert.rejects(killed, { code: 'ECANCELED', subject: /its reconciler ended with SIGSEGV/ });

  const silent = reconciler.call('prove', command, 2000);
  await assert.rejects(silent, { code: 'ETIMEDOUT' });

  const script = join(launcher.directory, 'broken');
  await writeFile(script, '#!/bin/sh\nexit 7\n');
  await chmod(script, 0o755);
  await assert.rejects(reconciler.call('prove', [script], 60_000), { code: 'ECHILD', subject: /exit code 7/ });
  await assert.rejects(reconciler.call('prove', ['/nowhere'], 60_000), { code: 'ECHILD', subject: /exit code 127/ });
  await assert.rejects(reconciler.call('takeover'), { step: 'reexec', code: 'ENOENT' });

  assert.equal((await reconciler.call('read', 1, 0, 10)).offset, 0);
  assert.deepEqual(descriptors(launcher.pid), open);
  // The one that said nothing is killed when its time is over, and may still be dying.
  const deadline = performance.now() + patience;
  while (children(launcher.pid).length > 2 && performance.now() < deadline) await delay(10);
  assert.equal(children(launcher.pid).length, 2);
});

test('what has proven itself does not count once its reconciler has gone, or the end has begun', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const proof = reconciler.call('prove', await successorCommand(launcher), 60_000);
  const prover = await launcher.reconciler();
  await prover.call('proven', true, none).catch(() => undefined);
  await proof;
  process.kill(reconciler.pid, 'SIGKILL');
  const next = await launcher.reconciler();
  await assert.rejects(next.call('takeover'), { code: 'ENOENT' });
  launcher.signal('SIGTERM');
  await next.next('terminate');
  await assert.rejects(next.call('prove', await successorCommand(launcher), 1000), { code: 'EBUSY' });
  await next.call('stop', 0).catch(() => undefined);
  void next.call('exit', 0).catch(() => undefined);
  assert.equal(await launcher.exited, 0);
});

test('a program that is handed what is no state says so, and ends', async () => {
  await using launcher = await startLauncher({ NORTHSTATE_STATE_FD: '77' });
  assert.equal(await launcher.exited, 1);
  assert.match(launcher.log(), /the state of the launcher is not understood: descriptor 77 is no state of a launcher/);
  assert.ok(existsSync(launcherProgram()));
});
