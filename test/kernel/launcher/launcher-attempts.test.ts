// Attempts of real containers: what the launcher does with prepare, go, kill and forget, and what it remembers.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync, writeSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Attempt } from '../../../native/wire/launcher.ts';
import type { Op } from '../../../native/wire/ops.ts';
import { startLauncher, type RemoteReconciler, type TestLauncher } from '../../support/test-launcher.ts';
import { hostPid } from '../../support/container-processes.ts';
import { processEnded } from '../../support/process-end.ts';
import { opened } from '../../support/values.ts';
import { probe } from '../../support/packages.ts';
import { patience } from '../../support/patience.ts';

const NAMESPACES = 0x20000000 | 0x20000 | 0x08000000 | 0x04000000 | 0x40000000; // PID, mount, IPC, UTS, network
const hash = 'ab'.repeat(32);
const record = Buffer.from('a record');

/** A sandbox with the probe in an otherwise empty root. */
async function sandbox(launcher: TestLauncher): Promise<Op[]> {
  const root = join(launcher.directory, 'root');
  await mkdir(root, { recursive: true });
  if (!existsSync(join(root, 'probe'))) await copyFile(await probe(), join(root, 'probe'));
  return [
    { op: 'namespaces', flags: NAMESPACES },
    { op: 'output', stream: 1, mode: 'ring', size: 65536 },
    { op: 'output', stream: 2, mode: 'ring', size: 65536 },
    { op: 'root', fd: opened({ tree: root }) },
    { op: 'pivot' },
  ];
}

const exec = (...program: string[]): Op[] => [
  { op: 'exec', path: '/probe', arguments: ['/probe', ...program], environment: [] },
];
const prepare = async (launcher: TestLauncher, reconciler: RemoteReconciler, id: number) =>
  reconciler.call('prepare', { id, name: `name ${id}`, hash, record, ops: await sandbox(launcher) });
const go = (reconciler: RemoteReconciler, id: number, program: string[], after = 0) =>
  reconciler.call('go', { id, after, record, ops: exec(...program) });
const until = async (reconciler: RemoteReconciler, id: number, state: Attempt['state']): Promise<Attempt> =>
  (await reconciler.next('attempt', (attempt) => attempt.id === id && attempt.state === state))[0];

/** Brings up a launcher and one container. */
async function started(id: number, ...program: string[]) {
  const launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  await prepare(launcher, reconciler, id);
  await go(reconciler, id, program);
  return { launcher, reconciler, [Symbol.asyncDispose]: () => launcher[Symbol.asyncDispose]() };
}

/** The text of each stream in an output ring's bytes. */
function texts(data: Uint8Array): Record<number, string> {
  const streams: Record<number, string> = {};
  const buffer = Buffer.from(data);
  for (let at = 0; at < buffer.length;) {
    const size = buffer.readUInt32LE(at + 9);
    const stream = buffer.readUInt8(at);
    streams[stream] = (streams[stream] ?? '') + buffer.toString('utf8', at + 13, at + 13 + size);
    at += 13 + size;
  }
  return streams;
}

test('reports a start from prepare to the exit code', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  await prepare(launcher, reconciler, 1);
  const prepared = await until(reconciler, 1, 'prepared');
  assert.equal(prepared.name, 'name 1');
  assert.equal(prepared.hash, hash);
  assert.ok(prepared.preparedAt > 0 && prepared.startedAt === 0 && prepared.pid > 0);
  await go(reconciler, 1, ['wait', '20', 'exit', '7']);
  const running = await until(reconciler, 1, 'running');
  assert.ok(running.startedAt >= prepared.preparedAt);
  assert.deepEqual([prepared.application, running.application], [0, hostPid(running)]);
  const exited = await until(reconciler, 1, 'exited');
  assert.deepEqual(exited.exit, { code: 7 });
  assert.ok(exited.exitedAt > exited.startedAt);
  assert.equal(Buffer.from(exited.record).toString(), 'a record');
});

test('keeps both streams of the output, to the last byte, until the attempt is forgotten', async () => {
  await using container = await started(1, 'print', '1', 'to stdout', 'print', '2', 'to stderr');
  const { reconciler } = container;
  const { output } = await until(reconciler, 1, 'exited');
  const { offset, end, data } = await reconciler.call('read', 1, 0, 65536);
  assert.deepEqual([offset, end], [output.begin, output.end]);
  assert.deepEqual(texts(data), { 1: 'to stdout\n', 2: 'to stderr\n' });
  await reconciler.call('forget', 1);
  await assert.rejects(reconciler.call('read', 1, 0, 1), { step: 'attempt', code: 'ENOENT' });
});

test('says once that there is output, until it is read', async () => {
  await using container = await started(1, 'print', '1', 'one', 'wait', '30', 'print', '1', 'two');
  const { reconciler } = container;
  await reconciler.next('output');
  await until(reconciler, 1, 'exited');
  assert.deepEqual(reconciler.unseen('output'), []);
  assert.deepEqual(texts((await reconciler.call('read', 1, 0, 65536)).data), { 1: 'one\ntwo\n' });
});

test('drops the oldest output of a flood, and answers as fast as ever', async () => {
  await using container = await started(1, 'flood');
  const { reconciler } = container;
  await until(reconciler, 1, 'running');
  // Until the ring has gone round.
  for (let end = 0; end < 4 * 65536;) {
    await reconciler.next('output');
    ({ end } = await reconciler.call('read', 1, 0, 1));
  }
  const began = performance.now();
  for (let round = 0; round < 50; round++) await reconciler.call('record', 1, record);
  assert.ok(performance.now() - began < patience);
  await reconciler.call('kill', 1, 9);
  const { output, exit } = await until(reconciler, 1, 'exited');
  assert.deepEqual(exit, { signal: 9 });
  assert.ok(output.begin > 0 && output.end - output.begin <= 65536);
  const { offset, data } = await reconciler.call('read', 1, 0, 65536);
  assert.equal(offset, output.begin);
  assert.deepEqual(Object.keys(texts(data)), ['1']);
});

test('lets containers live through the death of the reconciler and tells the next one everything', async () => {
  await using container = await started(1, 'sleep');
  const { launcher, reconciler: first } = container;
  const before = await until(first, 1, 'running');
  await prepare(launcher, first, 2);
  await go(first, 2, ['print', '1', 'hello', 'wait', '300', 'exit', '3']);
  process.kill(first.pid, 'SIGKILL');
  const second = await launcher.reconciler();
  const [one, two] = second.remembered.attempts;
  assert.deepEqual(one, before);
  assert.equal(two?.id, 2);
  // The second may come when it is over.
  assert.deepEqual(two.exit ?? (await until(second, 2, 'exited')).exit, { code: 3 });
  process.kill(second.pid, 'SIGKILL');
  const third = await launcher.reconciler();
  assert.deepEqual(third.remembered.attempts[1]?.exit, { code: 3 });
  assert.deepEqual(texts((await third.call('read', 2, 0, 100)).data), { 1: 'hello\n' });
});

test('refuses a sleep that an event has overtaken, or rings at once; a request takes a sleep back, and what happens is told', async () => {
  await using container = await started(1, 'sleep');
  const { launcher, reconciler } = container;
  await until(reconciler, 1, 'running');
  const killed = reconciler.call('kill', 1, 9);
  const sleeps = await reconciler.call('sleep', false);
  await killed;
  let awake = reconciler;
  if (sleeps) {
    process.kill(reconciler.pid, 'SIGKILL');
    awake = await launcher.reconciler();
    assert.equal(awake.remembered.hello.slept?.rang, 'attempt');
    assert.deepEqual(awake.remembered.attempts[0]?.exit, { signal: 9 });
  } else {
    assert.deepEqual((await until(reconciler, 1, 'exited')).exit, { signal: 9 });
  }
  assert.equal(await awake.call('sleep', false), true);
  await prepare(launcher, awake, 2);
  await go(awake, 2, ['exit', '4']);
  assert.deepEqual((await until(awake, 2, 'exited')).exit, { code: 4 });
  assert.equal(await awake.call('sleep', false), true);
  process.kill(awake.pid, 'SIGKILL');
  launcher.signal('SIGHUP');
  const { hello } = (await launcher.reconciler()).remembered;
  assert.deepEqual([hello.slept?.rang, hello.deaths], ['signal', 0]);
});

test('does what a reconciler had asked for before it died', async () => {
  await using container = await started(1, 'sleep');
  const { launcher, reconciler } = container;
  await until(reconciler, 1, 'running');
  void reconciler.call('kill', 1, 9).catch(() => undefined);
  void reconciler.call('exit', 0).catch(() => undefined);
  const next = await launcher.reconciler();
  assert.deepEqual(next.remembered.attempts[0]?.exit, { signal: 9 });
});

test('takes every request about an attempt twice', async () => {
  await using container = await started(1, 'sleep');
  const { launcher, reconciler } = container;
  await prepare(launcher, reconciler, 1);
  await go(reconciler, 1, ['sleep']);
  await assert.rejects(
    reconciler.call('prepare', { id: 1, name: 'other', hash: '00'.repeat(32), record, ops: await sandbox(launcher) }),
    { step: 'attempt', code: 'EEXIST' },
  );
  await assert.rejects(reconciler.call('forget', 1), { step: 'attempt', code: 'EBUSY' });
  await reconciler.call('kill', 1, 9);
  await until(reconciler, 1, 'exited');
  await reconciler.call('kill', 1, 9);
  await go(reconciler, 1, ['sleep']);
  await reconciler.call('forget', 1);
  await reconciler.call('forget', 1);
  await assert.rejects(reconciler.call('kill', 1, 9), { step: 'attempt', code: 'ENOENT' });
});

test('answers the forgetting of a prepared sandbox when its init has gone', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  await prepare(launcher, reconciler, 1);
  const { pid } = await until(reconciler, 1, 'prepared');
  await reconciler.call('forget', 1);
  assert.equal(existsSync(`/proc/${pid}`), false);
});

test('calls a prepared sandbox whose init dies a failed start, not an exit', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  await prepare(launcher, reconciler, 1);
  process.kill((await until(reconciler, 1, 'prepared')).pid, 'SIGKILL');
  const failed = await until(reconciler, 1, 'failed');
  assert.equal(failed.exit, null);
  assert.deepEqual([failed.failure?.step, failed.failure?.subject], ['init', 'the init ended with SIGKILL']);
});

test('starts the successor within a millisecond of the exit it waits for', async () => {
  await using container = await started(1, 'sleep');
  const { launcher, reconciler } = container;
  await prepare(launcher, reconciler, 2);
  await go(reconciler, 2, ['sleep'], 1);
  assert.equal((await until(reconciler, 2, 'prepared')).going, false);
  assert.equal((await until(reconciler, 2, 'prepared')).after, 1);
  await reconciler.call('kill', 1, 9);
  const old = await until(reconciler, 1, 'exited');
  const { startedAt, after } = await until(reconciler, 2, 'running');
  assert.equal(after, 0);
  // What the machine adds when it is busy is not the launcher's: bench/replace measures the millisecond.
  assert.ok(startedAt - old.exitedAt < 50, `${startedAt - old.exitedAt} ms`);
});

test('tells of an end that lets another one go, also where that takes long', async () => {
  await using container = await started(1, 'sleep');
  const { launcher, reconciler } = container;
  await prepare(launcher, reconciler, 2);
  // A pipe that is full, and that nobody reads: what writes to it waits.
  const path = join(launcher.directory, 'full');
  execFileSync('mkfifo', [path]);
  const pipe = openSync(path, 'r+');
  const size = writeSync(pipe, Buffer.alloc(65536));
  const write: Op = { op: 'write', fd: opened({ file: path, flags: 'r+' }), bytes: Buffer.from('x'), path };
  await reconciler.call('go', { id: 2, after: 1, record, ops: [write, ...exec('sleep')] });
  await reconciler.call('kill', 1, 9);
  assert.ok((await until(reconciler, 1, 'exited')).exitedAt > 0);
  readSync(pipe, Buffer.alloc(size));
  closeSync(pipe);
  await until(reconciler, 2, 'running');
});

test('starts at once after an attempt that has ended or is forgotten', async () => {
  await using container = await started(1, 'exit', '0');
  const { launcher, reconciler } = container;
  await until(reconciler, 1, 'exited');
  await prepare(launcher, reconciler, 2);
  await go(reconciler, 2, ['exit', '0'], 1);
  await until(reconciler, 2, 'exited');
  await reconciler.call('forget', 1);
  await prepare(launcher, reconciler, 3);
  await go(reconciler, 3, ['exit', '0'], 1);
  await until(reconciler, 3, 'exited');
});

test('names the step, the subject and the errno of a start that fails', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  await prepare(launcher, reconciler, 1);
  const missing: Op[] = [{ op: 'exec', path: '/missing', arguments: ['/missing'], environment: [] }];
  const start = reconciler.call('go', { id: 1, after: 0, record, ops: missing });
  await assert.rejects(start, { step: 'exec', code: 'ENOENT', subject: '/missing', message: 'exec /missing: ENOENT' });
  assert.equal((await until(reconciler, 1, 'failed')).failure?.code, 'ENOENT');
  await assert.rejects(prepare(launcher, reconciler, 1), { step: 'exec', code: 'ENOENT' });

  const ops: Op[] = [...(await sandbox(launcher)), { op: 'cwd', path: 'no/absolute/path' }, ...exec('sleep')];
  const wrong = reconciler.call('prepare', { id: 2, name: 'wrong', hash, record, ops });
  await assert.rejects(wrong, { code: 'EINVAL' });
});

test('counts the out-of-memory kills that the file of the control group shows at the exit', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const file = join(launcher.directory, 'memory.events');
  await writeFile(file, 'oom 4\noom_kill 0\n');
  const ops: Op[] = [...(await sandbox(launcher)), { op: 'oom', fd: opened({ file, flags: 'r' }) }];
  await reconciler.call('prepare', { id: 1, name: 'oom', hash, record, ops });
  await writeFile(file, 'oom 4\noom_kill 3\noom_group_kill 1\n');
  await go(reconciler, 1, ['exit', '0']);
  assert.equal((await until(reconciler, 1, 'exited')).oomKills, 3);
});

test('takes every container down with it when it is killed', async () => {
  await using container = await started(1, 'sleep');
  const { launcher, reconciler } = container;
  const { pid } = await until(reconciler, 1, 'running');
  await prepare(launcher, reconciler, 2);
  const prepared = await until(reconciler, 2, 'prepared');
  launcher.signal('SIGKILL');
  await reconciler.gone;
  await Promise.all([pid, prepared.pid].map(processEnded));
});

test('kills the containers that are left when the reconciler has asked for the end', async () => {
  await using container = await started(1, 'sleep');
  const { launcher, reconciler } = container;
  const { pid } = await until(reconciler, 1, 'running');
  await reconciler.call('stop', 0);
  void reconciler.call('exit', 0).catch(() => undefined);
  assert.equal(await launcher.exited, 0);
  assert.equal(existsSync(`/proc/${pid}`), false);
});
