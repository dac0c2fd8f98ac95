import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { createLogs } from '../../../src/logs/container-output.ts';

/** A record of the ring: stream, time in ns, length, bytes. */
function record(text: string): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt8(1, 0);
  header.writeUInt32LE(text.length, 9);
  return Buffer.concat([header, Buffer.from(text)]);
}

test('logs what comes while a read is being answered: the launcher tells of it once', async () => {
  const logged: string[] = [];
  let ring = record('one\n');
  const logs = createLogs({
    wallClock: (boot) => boot,
    launcher: {
      read: async (_id, offset) => {
        const answer = { offset, end: ring.length, data: ring.subarray(offset) };
        if (offset === 0) {
          ring = Buffer.concat([ring, record('two\n')]);
          logs.arrived(1);
        }
        return answer;
      },
    },
    containerLog(_name, lines) {
      logged.push(...lines.map(({ line }) => line));
      return 0;
    },
    earlier: new Map(),
    outputs: () => [],
    nameOf: () => 'app',
    failed: (error) => assert.fail(String(error)),
  });
  logs.arrived(1);
  await turn();
  assert.deepEqual(logged, ['one', 'two']);
});

test('logs what was written before the attempt was known', async () => {
  const logged: string[] = [];
  const attempts = new Map<number, string>();
  const ring = record('first\n');
  const logs = createLogs({
    wallClock: (boot) => boot,
    launcher: { read: async (_id, offset) => ({ offset, end: ring.length, data: ring.subarray(offset) }) },
    containerLog(name, lines) {
      logged.push(...lines.map(({ line }) => `${name}: ${line}`));
      return 0;
    },
    earlier: new Map(),
    outputs: () => [...attempts.keys()].map((id) => ({ id, begin: 0, end: ring.length, ended: false })),
    nameOf: (id) => attempts.get(id) ?? null,
    failed: (error) => assert.fail(String(error)),
  });
  logs.arrived(1);
  attempts.set(1, 'app');
  logs.changed('app');
  logs.changed('app');
  await turn();
  assert.deepEqual(logged, ['app: first']);
});

test('previous gives what the run before the last one has written, and nothing else', async () => {
  const written: Readonly<Record<number, Buffer>> = { 1: record('first\n'), 2: record('second\n') };
  const logs = createLogs({
    wallClock: (boot) => boot,
    launcher: {
      read: async (id, offset) => {
        const ring = written[id] ?? Buffer.alloc(0);
        return { offset, end: ring.length, data: ring.subarray(offset) };
      },
    },
    containerLog: () => 0,
    earlier: new Map(),
    outputs: (name) => {
      const all = name === 'twice' ? [1, 2] : [2];
      return all.map((id) => ({ id, begin: 0, end: written[id]?.length ?? 0, ended: id === 1 }));
    },
    nameOf: () => 'app',
    failed: (error) => assert.fail(String(error)),
  });
  const { signal } = new AbortController();
  const linesOf = async (name: string, previous: boolean): Promise<string[]> => {
    const lines = await Array.fromAsync(logs.lines(name, { since: null, follow: false, previous, signal }));
    return lines.map(({ line }) => line);
  };
  assert.deepEqual(await linesOf('twice', true), ['first']);
  assert.deepEqual(await linesOf('twice', false), ['first', 'second']);
  assert.deepEqual(await linesOf('once', true), []);
});
