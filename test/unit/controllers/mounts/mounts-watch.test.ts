// When the mount table is read, and when what was read counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Mounts } from '../../../../controllers/mounts/mounts.ts';
import { createMountWatch, type MountWatch } from '../../../../controllers/mounts/mounts-watch.ts';
import type { Observing } from '../../../../controllers/observing.ts';
import type { Launcher } from '../../../../native/wire/launcher-interface.ts';

test('a table that was read while an act of ours came and went is read again', async () => {
  const seen = [new Map([['stale', []]]), new Map([['fresh', []]])];
  const { promise, resolve } = Promise.withResolvers<unknown>();
  let reads = 0;
  const watch: MountWatch = createMountWatch({
    mounts: {
      async observe() {
        const table = seen[reads++];
        if (reads === 1) await watch.during(() => Promise.resolve());
        return table;
      },
    } as unknown as Mounts,
    observing: { mounts: resolve } as unknown as Observing,
    launcher: { rearm: () => Promise.resolve() } as unknown as Launcher,
    failed: (error) => assert.fail(String(error)),
  });
  watch.fired();
  assert.deepEqual(await promise, seen[1]);
  assert.equal(reads, 2);
});
