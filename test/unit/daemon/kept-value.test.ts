import assert from 'node:assert/strict';
import { closeSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { createMemoryFile } from '../../../native/memfd.ts';
import { keptFailures } from '../../../src/daemon/kept-failures.ts';
import { openKeptValue } from '../../../src/daemon/kept-value.ts';

function withFile(body: (fd: number) => void): void {
  const fd = createMemoryFile('kept value of a test');
  try {
    body(fd);
  } finally {
    closeSync(fd);
  }
}

test('a value outlives a hundred processes, and one that was killed while it wrote', () => {
  withFile((fd) => {
    assert.equal(openKeptValue(fd).get(), null);
    for (let count = 1; count <= 100; count += 1) {
      const value = openKeptValue<{ readonly count: number; readonly text: string }>(fd);
      assert.equal(value.get()?.count ?? 0, count - 1);
      value.set({ count, text: 'x'.repeat(count * 100) });
    }
    // The next one would have gone to the other place: what is there does not count before the head says so.
    for (const place of [4096, 2 ** 32]) {
      const before = openKeptValue<{ readonly count: number }>(fd).get()?.count;
      const last = openKeptValue<unknown>(fd);
      last.set(last.get());
      writeSync(fd, Buffer.from('{"count":'), 0, 9, place === 4096 ? 2 ** 32 : 4096);
      assert.equal(openKeptValue<{ readonly count: number }>(fd).get()?.count, before);
    }
  });
});

test('failures are kept with their count and their next try; of too many the newest', () => {
  withFile((fd) => {
    const failureOf = (name: string, message: string) => ({
      ...{ name, step: `{"op":"start","name":"${name}"}`, basis: null },
      failure: { op: 'start', reason: 'StepFailed' as const, subject: null, message, count: 7, retryAt: 123_456 },
    });
    const few = [failureOf('a', 'no memory'), failureOf('b', 'no room')];
    keptFailures(openKeptValue(fd)).keep(few);
    assert.deepEqual(keptFailures(openKeptValue(fd)).earlier, few);
    keptFailures(openKeptValue(fd)).keep([failureOf('a', 'x'.repeat(200_000)), failureOf('b', 'x'.repeat(200_000))]);
    assert.deepEqual(
      keptFailures(openKeptValue(fd)).earlier.map(({ name }) => name),
      ['b'],
    );
  });
});
