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
