// When the mount table is read, and when what was read counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMountWatch, mountTableKey, type MountWatch } from '../../../../controllers/mounts/mounts-watch.ts';

test('a table that was read while an act of ours came and went is read again', async () => {
  const seen = [new Map([['stale', []]]), new Map([['fresh', []]])];
  const { promise, resolve } = Promise.withResolvers<unknown>();
  let reads = 0;
  let changes = 0;
  const watch: MountWatch = createMountWatch({
    async observe() {
      const table = seen[reads++];
      if (reads === 1) await watch.during(() => Promise.resolve());
      return table ?? new Map();
    },
    observing: { mounts: resolve },
    changed: () => void (changes += 1),
    stand: () => undefined,
    launcher: { rearm: () => Promise.resolve() },
    failed: (error) => assert.fail(String(error)),
  });
  watch.fired(mountTableKey);
  assert.deepEqual(await promise, seen[1]);
  assert.equal(reads, 2);
  // Whoever finds things by their paths is told after each.
  await new Promise(setImmediate);
  assert.equal(changes, 2);
});

test('a table that cannot be read says so, what was known counts, and it is read again', async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const said: (string | null)[] = [];
  const errors = ['EMFILE', 'ENOMEM'];
  const watch = createMountWatch({
    observe() {
      const code = errors.shift();
      if (code !== undefined) return Promise.reject(Object.assign(new Error(code), { code }));
      return Promise.resolve(new Map([['fresh', []]]));
    },
    observing: { mounts: resolve },
    changed: () => undefined,
    stand: (_, subject, message) => void said.push(message && `${subject}: ${message}`),
    launcher: { rearm: () => Promise.resolve() },
    failed: (error) => assert.fail(String(error)),
  });
  watch.fired(mountTableKey);
  assert.deepEqual(await promise, new Map([['fresh', []]]));
  await new Promise(setImmediate);
  const why = (code: string) => `/proc/self/mountinfo: ${code}; it is read again`;
  assert.deepEqual(said, [why('EMFILE'), why('ENOMEM'), null]);
});
