// Files of the runtime that somebody deletes are made again.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { patience } from '../../support/patience.ts';
import { probePackage } from '../../support/packages.ts';
import { running, withDaemon } from '../../support/scenario.ts';
import { killReconciler, successor, timesReady } from '../../support/successor.ts';

const app = await probePackage({ name: 'app' });
const other = await probePackage({ name: 'other' });
const entries = ['app: { version: 1.0.0, state: running }', 'other: { version: 1.0.0, state: mounted }'];

/** Removes a tree in which the runtime makes again what was deleted, while the rest is still being deleted. */
function remove(path: string): void {
  const end = performance.now() + patience;
  for (;;) {
    try {
      rmSync(path, { recursive: true, force: true });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY' || performance.now() > end) throw error;
    }
  }
}

/** Looks again and again: nobody tells of a file. */
async function comes(path: string, say = () => ''): Promise<void> {
  const end = performance.now() + patience;
  while (!existsSync(path)) {
    assert.ok(performance.now() < end, `${path} does not come back${say()}`);
    await delay(20);
  }
}

test("the console's socket that was deleted is there again, and whoever is connected stays so", async () => {
  await withDaemon([app], entries.slice(0, 1), async (daemon) => {
    const { pid } = await running(daemon, 'app');
    const socket = join(daemon.runDir, 'console');
    for (let times = 0; times < 2; times += 1) {
      const mode = statSync(socket).mode;
      rmSync(socket);
      await comes(socket);
      const { code, stderr } = await daemon.run('get');
      assert.deepEqual([code, stderr], [0, '']);
      assert.equal(statSync(socket).mode, mode);
    }
    // The successor has the new one.
    const nth = await timesReady(daemon);
    await killReconciler(daemon);
    await successor(daemon, nth + 1);
    assert.equal((await daemon.run('get')).code, 0);
    assert.equal((await running(daemon, 'app')).pid, pid);
  });
});

test('runDir that was emptied is made again: containers run on, others start, a stop for the boot stays', async () => {
  await withDaemon([app, other], entries, async (daemon) => {
    const { pid } = await running(daemon, 'app');
    await daemon.untilContainer('other', 'is mounted', ({ phase }) => phase === 'Mounted');
    const kept = readdirSync(daemon.runDir);
    for (const name of kept) {
      if (name !== 'mounts') remove(join(daemon.runDir, name));
    }
    for (const name of kept) if (name !== '.lock') await comes(join(daemon.runDir, name));
    assert.equal((await daemon.run('start', 'other:1.0.0')).code, 0);
    await running(daemon, 'other');
    assert.equal((await running(daemon, 'app')).pid, pid);
  });
});

test('images are mounted again when their mount points were deleted', async () => {
  await withDaemon([app, other], entries, async (daemon) => {
    const { pid } = await running(daemon, 'app');
    await daemon.untilContainer('other', 'is mounted', ({ phase }) => phase === 'Mounted');
    // Elsewhere than in the reconciler's mount namespace they are plain directories.
    remove(join(daemon.runDir, 'mounts'));
    await comes(join(daemon.runDir, 'mounts/other:1.0.0'), () => daemon.log());
    assert.equal((await daemon.run('start', 'other:1.0.0')).code, 0);
    await running(daemon, 'other');
    assert.equal((await running(daemon, 'app')).pid, pid);
  });
});
