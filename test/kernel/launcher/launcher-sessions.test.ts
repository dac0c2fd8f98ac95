// Who joins a container that runs: what it may, how it ends, and who waits for it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Attempt } from '../../../native/wire/launcher.ts';
import type { Op } from '../../../native/wire/ops.ts';
import { openBoxes } from '../../support/boxes.ts';
import { commandLine } from '../../support/container-processes.ts';
import { probePackage } from '../../support/packages.ts';
import { opened } from '../../support/values.ts';

const boxes = await openBoxes();
const directory = mkdtempSync(join(tmpdir(), 'northstate-sessions-'));
after(async () => {
  await boxes[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});
const app = await probePackage({
  name: 'joined',
  fields: 'mounts: { /proc: { type: proc }, /tmp: { type: tmpfs, size: 200kB } }',
});
const none = 0n;
const rights: readonly Op[] = [
  { op: 'cwd', path: '/' },
  { op: 'ids', uid: 1000, gid: 1000, groups: [] },
  { op: 'capabilities', bounding: none, permitted: none, effective: none, inheritable: none, ambient: none },
];
let last = 0;

interface Session {
  readonly id: number;
  /** What it has written so far. */
  output(): string;
  /** How it ended. */
  left(): Promise<{ exit: object; failure: { step: string; code: string; subject: string } | null }>;
}

/** Joins with the ops; resolves when it is there. */
async function joinWith({ id: attempt }: Pick<Attempt, 'id'>, ...ops: readonly Op[]): Promise<Session> {
  const id = ++last;
  const file = join(directory, String(id));
  const output: Op = { op: 'descriptor', fd: opened({ file, flags: 'w' }), number: 1 };
  await boxes.reconciler.call('join', { id, attempt, ops: [...rights, output, ...ops] });
  return {
    id,
    output: () => readFileSync(file, 'utf8'),
    left: async () => (await boxes.reconciler.next('left', (left) => left.id === id))[0],
  };
}

const execute = (...args: readonly string[]): Op => ({
  op: 'exec',
  path: '/probe',
  arguments: ['/probe', ...args],
  environment: ['PATH=/nowhere:/'],
});

test('executes a program in the namespaces of the container, with no more rights', async () => {
  const box = { package: app };
  const running = await boxes.launch(box);
  const session = await joinWith(running, execute('ids', 'fds', 'cat', '/proc/self/status'));
  assert.deepEqual((await session.left()).exit, { code: 0 });
  const output = session.output();
  assert.match(output, /^uid 1000\ngid 1000\npid (\d+)\nppid 0\nsid \1\npgid \1\n0\n1\n2\nName:\tprobe/);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'SigBlk', 'SigIgn', 'SigCgt'])
    assert.match(output, new RegExp(`^${set}:\t0+$`, 'm'));
  assert.match(output, /^NoNewPrivs:\t1$/m);
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
});

test('tells exit codes, signals and what cannot be executed', async () => {
  const running = await boxes.launch({ package: app });
  assert.deepEqual((await (await joinWith(running, execute('exit', '7'))).left()).exit, { code: 7 });
  assert.deepEqual((await (await joinWith(running, execute('raise', '6'))).left()).exit, { signal: 6 });
  const found: Op = { op: 'exec', path: 'probe', arguments: ['probe', 'exit', '3'], environment: ['PATH=/nowhere:/'] };
  assert.deepEqual((await (await joinWith(running, found)).left()).exit, { code: 3 });
  const missing: Op = { op: 'exec', path: '/missing', arguments: ['x'], environment: [] };
  await assert.rejects(joinWith(running, missing), { step: 'exec', code: 'ENOENT', subject: '/missing' });
  await assert.rejects(joinWith({ id: 4711 }, execute('exit', '0')), { step: 'attempt', code: 'ENOENT' });
  const sleeper = await joinWith(running, execute('sleep'));
  await boxes.reconciler.call('signal', sleeper.id, 15);
  assert.deepEqual((await sleeper.left()).exit, { signal: 15 });
  await boxes.reconciler.call('signal', sleeper.id, 9);
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
});

test('copies what the application may read and write, and nothing else', async () => {
  const running = await boxes.launch({ package: app });
  const content = join(directory, 'content');
  const source = readFileSync('/proc/self/exe').subarray(0, 70_000);
  writeFileSync(content, source);
  const input: Op = { op: 'descriptor', fd: opened({ file: content, flags: 'r' }), number: 0 };
  const into = (path: string, size = source.length): Op => ({ op: 'copy', direction: 'in', size, mode: 0o640, path });
  const from = (path: string): Op => ({ op: 'copy', direction: 'out', size: 0, mode: 0, path });
  assert.deepEqual((await (await joinWith(running, input, into('/tmp/a'))).left()).exit, { code: 0 });
  const back = await joinWith(running, from('/tmp/a'));
  assert.equal((await back.left()).failure, null);
  assert.deepEqual(readFileSync(join(directory, String(back.id))), source);
  const short = await (await joinWith(running, input, into('/tmp/b', source.length + 1))).left();
  assert.deepEqual([short.failure?.step, short.failure?.code], ['copy', 'EPIPE']);
  const full = await (await joinWith(running, input, into('/tmp/c'))).left();
  assert.deepEqual([full.failure?.step, full.failure?.code], ['copy', 'ENOSPC']);
  for (const [path, code] of [
    ['/probe', 'EROFS'],
    ['/tmp', 'EISDIR'],
    ['/new', 'EROFS'],
  ] as const)
    await assert.rejects(joinWith(running, input, into(path)), { step: 'copy', code });
  await assert.rejects(joinWith(running, from('/proc/1/root/probe')), { step: 'copy', code: 'EACCES' });
  await assert.rejects(joinWith(running, from('/../../../../etc/passwd')), { step: 'copy', code: 'ENOENT' });
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
});

test('shows our own program to one process, and nothing of it to the container', async () => {
  const running = await boxes.launch({ package: app });
  const tools: Op = { op: 'tools', fd: opened({ tree: '/bin/busybox' }), names: ['sh', 'ls'] };
  const path = '/.northstate/bin/sh';
  const script = 'ls -d / /probe /tmp /.northstate; echo x > /tmp/seen; echo y > /.northstate/z; id -u';
  const shell: Op = {
    op: 'exec',
    path,
    arguments: ['sh', '-c', script],
    environment: ['PATH=/.northstate/bin'],
  };
  const names: Op = { ...tools, names: ['sh', 'ls', 'cat', 'id'] };
  const session = await joinWith(running, names, shell);
  assert.deepEqual((await session.left()).exit, { code: 0 });
  assert.equal(session.output(), '/\n/.northstate\n/probe\n/tmp\n1000\n');
  const root = `/proc/${running.pid}/root`;
  assert.deepEqual(readdirSync(root).toSorted(), ['probe', 'proc', 'tmp']);
  assert.equal(readFileSync(`${root}/tmp/seen`, 'utf8'), 'x\n');
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
});

test('ends with the container, and is reaped before the next one goes', async () => {
  const box = { package: app };
  const first = await boxes.launch(box);
  const sessions = await Promise.all([1, 2, 3].map(() => joinWith(first, execute('sleep'))));
  const second = await boxes.prepare(box);
  const ops: Op[] = [execute('sleep')];
  await boxes.reconciler.call('go', { id: second.id, after: first.id, record: new Uint8Array(), ops });
  await boxes.reconciler.call('kill', first.id, 9);
  // Events come in the order in which things happen: the ends of the sessions before the start of the next.
  await boxes.reconciler.next('attempt', (seen) => seen.id === second.id && seen.state === 'running');
  assert.equal(boxes.reconciler.unseen('left').length, sessions.length);
  await boxes.reconciler.call('kill', second.id, 9);
});

test('bounds how many there are', async () => {
  const running = await boxes.launch({ package: app });
  const sessions: Session[] = [];
  await assert.rejects(
    async () => {
      for (;;) sessions.push(await joinWith(running, execute('sleep')));
    },
    { step: 'join', code: 'ENOSPC' },
  );
  assert.equal(sessions.length, 64);
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
  const first = sessions[0]?.id ?? 0;
  const ended = new Set<number>();
  while (ended.size < sessions.length) ended.add((await boxes.reconciler.next('left', ({ id }) => id >= first))[0].id);
  assert.deepEqual(
    sessions.filter(({ id }) => !ended.has(id)),
    [],
  );
});

test('ends with the reconciler', async () => {
  const running = await boxes.launch({ package: app });
  const marker = `session-of-${process.pid}`;
  await joinWith(running, execute('print', '1', marker, 'sleep'));
  assert.equal(processesWith(marker), 1);
  void boxes.reconciler.call('exit', 1).catch(() => undefined);
  await boxes.launcher.reconciler();
  assert.equal(processesWith(marker), 0);
});

/** How many processes have a text among their arguments. */
function processesWith(text: string): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  return pids.filter((pid) => commandLine(pid).includes(text)).length;
}
