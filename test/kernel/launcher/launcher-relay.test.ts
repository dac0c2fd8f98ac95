// Output that goes to the runtime's own (`io: inherit`): the launcher passes it on line by line, and no container holds what
// it goes to.
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import type { Attempt } from '../../../native/wire/launcher.ts';
import type { Op } from '../../../native/wire/ops.ts';
import { createSocketPair } from '../../../native/socket-pair.ts';
import { probe } from '../../support/packages.ts';
import { run } from '../../support/command.ts';
import { startLauncher, type RemoteReconciler, type TestLauncher } from '../../support/test-launcher.ts';
import { opened } from '../../support/values.ts';

const NAMESPACES = 0x20000000 | 0x20000 | 0x08000000 | 0x04000000 | 0x40000000; // PID, mount, IPC, UTS, network
const hash = 'ab'.repeat(32);
const record = Buffer.alloc(0);

interface Setting {
  readonly launcher: TestLauncher;
  readonly reconciler: RemoteReconciler;
  /** Runs the probe with this program, and with these files in its root; both of its streams are passed on. */
  start(id: number, program: readonly string[], files?: Readonly<Record<string, string>>): Promise<Attempt>;
  ended(id: number): Promise<Attempt>;
  [Symbol.asyncDispose](): Promise<void>;
}

async function withStdout(stdout: number): Promise<Setting> {
  const launcher = await startLauncher({}, { stdout });
  const reconciler = await launcher.reconciler();
  const until = async (id: number, states: readonly Attempt['state'][]): Promise<Attempt> =>
    (await reconciler.next('attempt', (attempt) => attempt.id === id && states.includes(attempt.state)))[0];
  /** One that ends at once may be told of once. */
  const over = new Map<number, Attempt>();
  return {
    launcher,
    reconciler,
    async start(id, program, files = {}) {
      const root = join(launcher.directory, `root${id}`);
      await mkdir(root);
      await copyFile(await probe(), join(root, 'probe'));
      for (const [name, text] of Object.entries(files)) await writeFile(join(root, name), text);
      const ops: Op[] = [
        { op: 'namespaces', flags: NAMESPACES },
        { op: 'output', stream: 1, mode: 'relay', size: 0 },
        { op: 'output', stream: 2, mode: 'relay', size: 0 },
        { op: 'root', fd: opened({ tree: root }) },
        { op: 'pivot' },
      ];
      await reconciler.call('prepare', { id, name: `name ${id}`, hash, record, ops });
      const exec: Op = { op: 'exec', path: '/probe', arguments: ['/probe', ...program], environment: [] };
      await reconciler.call('go', { id, after: 0, record, ops: [exec] });
      const attempt = await until(id, ['running', 'exited']);
      if (attempt.state === 'exited') over.set(id, attempt);
      return attempt;
    },
    ended: async (id) => over.get(id) ?? (await until(id, ['exited'])),
    [Symbol.asyncDispose]: () => launcher[Symbol.asyncDispose](),
  };
}

/** A file that is open for writing, and what is in it. */
async function scratchFile() {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-relay-'));
  const path = join(directory, 'log');
  const fd = openSync(path, 'w');
  return {
    fd,
    text: () => readFileSync(path, 'utf8'),
    async [Symbol.asyncDispose]() {
      closeSync(fd);
      await rm(directory, { recursive: true });
    },
  };
}

async function waitFor(what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 20) {
    assert.ok(waited < 60_000, `waited in vain: ${what}`);
    await delay(20);
  }
}

const numbers = { ftruncate: '77', shutdown: '48', fallocate: '285' };

test('a file is written to line by line, and neither cut nor overwritten by a container', async () => {
  await using file = await scratchFile();
  await using box = await withStdout(file.fd);
  await box.start(1, ['print', '1', 'before', 'print', '2', 'to stderr']);
  await box.ended(1);
  await waitFor('the first line', () => file.text() === 'before\n');
  await box.launcher.said('to stderr');
  const attack = [
    'call',
    numbers.ftruncate,
    '1',
    '0',
    '0',
    'call',
    numbers.fallocate,
    '1',
    '0',
    '0',
    'print',
    '1',
    'after',
  ];
  await box.start(2, attack);
  await box.ended(2);
  await waitFor('the last line', () => file.text().includes('after\n'));
  const [first, cut, ...rest] = file.text().split('\n');
  assert.equal(first, 'before');
  assert.match(cut ?? '', /-22/, 'EINVAL: no file');
  assert.deepEqual(rest.slice(-2), ['after', '']);
});

test('a socket, as a journal gives it, cannot be shut down by a container', async () => {
  const { ours, theirs } = createSocketPair();
  await using box = await withStdout(theirs);
  closeSync(theirs);
  await box.start(1, ['call', numbers.shutdown, '1', '2', '0', 'print', '1', 'end']);
  await box.ended(1);
  await box.start(2, ['print', '1', 'heard']);
  await box.ended(2);
  const buffer = Buffer.alloc(4096);
  let text = '';
  await waitFor('what the second says', () => {
    try {
      text += buffer.toString('utf8', 0, readSync(ours, buffer));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
    return text.includes('heard\n');
  });
  closeSync(ours);
  assert.match(text, /-88/, 'ENOTSOCK: no socket');
});

test('lines of several containers are not mixed, and a last one without an end gets it', async () => {
  await using file = await scratchFile();
  await using box = await withStdout(file.fd);
  const line = (letter: string) => letter.repeat(200);
  const lines = (letter: string) => `${line(letter)}\n`.repeat(2000);
  const letters = ['a', 'b', 'c'];
  await Promise.all(
    letters.map((letter, index) => box.start(index + 1, ['cat', '/text'], { text: `${lines(letter)}half ${letter}` })),
  );
  await waitFor('the halves', () => letters.every((letter) => file.text().includes(`half ${letter}\n`)));
  const counts: Record<string, number> = {};
  for (const each of file.text().split('\n')) counts[each] = (counts[each] ?? 0) + 1;
  const expected = letters.flatMap((letter) => [[line(letter), 2000] as const, [`half ${letter}`, 1] as const]);
  assert.deepEqual(counts, { ...Object.fromEntries(expected), '': 1 });
});

test('a pipe that nobody reads holds up the container that writes, nobody else, and nothing is lost', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-relay-'));
  const path = join(directory, 'pipe');
  await run('mkfifo', [path]);
  const reading = openSync(path, 'r+');
  const text = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join('');
  {
    await using box = await withStdout(reading);
    await box.start(1, ['cat', '/text', 'exit', '7'], { text });
    await delay(200);
    // It waits for its reader; the launcher does not.
    assert.deepEqual(box.reconciler.unseen('attempt').length, 0);
    await box.start(2, ['exit', '3']);
    assert.deepEqual((await box.ended(2)).exit, { code: 3 });
    const reader = openSync(path, 'r');
    let heard = '';
    const buffer = Buffer.alloc(65536);
    while (heard.length < text.length) {
      heard += buffer.toString('utf8', 0, readSync(reader, buffer));
      await delay(1);
    }
    assert.equal(heard, text);
    assert.deepEqual((await box.ended(1)).exit, { code: 7 });
    closeSync(reader);
  }
  closeSync(reading);
  await rm(directory, { recursive: true });
});

test('the end of everything passes on what was written until then', async () => {
  await using file = await scratchFile();
  await using box = await withStdout(file.fd);
  await box.start(1, ['print', '1', 'last words', 'sleep']);
  await box.reconciler.call('stop', 0);
  await box.reconciler.call('exit', 0).catch(() => undefined);
  assert.equal(await box.launcher.exited, 0);
  assert.equal(file.text(), 'last words\n');
});
