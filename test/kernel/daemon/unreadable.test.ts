// Reads that fail for a while: what was known counts, a condition says so, and it is read again.
import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { openDescriptors } from '../../support/leaks.ts';
import { cannotInject, inject } from '../../support/inject.ts';
import { probePackage } from '../../support/packages.ts';
import { endsClean, running } from '../../support/scenario.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

const app = await probePackage({ name: 'app' });
const other = await probePackage({ name: 'other' });
const entry = 'app: { version: 1.0.0, state: running, restart: { policy: always, backoff: 0s } }';

/** Kills the reconciler and waits for what the next one says. */
async function killReconciler(daemon: Daemon): Promise<void> {
  const before = daemon.reconciler();
  process.kill(before ?? 0, 'SIGKILL');
}

test(
  'a repository that gives EIO keeps what was known of it, and is read when it can be',
  { skip: cannotInject },
  async () => {
    const before = openDescriptors();
    await using daemon = await startDaemon({
      packages: [app],
      document: (directory) => documentOf(directory, entry),
    });
    const { pid } = await running(daemon, 'app');
    {
      await using _fault = await inject(daemon.pid, { calls: 'getdents64', error: 'EIO', paths: [daemon.repository] });
      await killReconciler(daemon);
      const status = await daemon.until('it says what it cannot read', ({ conditions }) =>
        conditions.some(({ type, subject }) => type === 'Unreadable' && subject === daemon.repository),
      );
      assert.equal(status.repositories['packages']?.packages, 1);
      assert.equal(status.containers['app']?.pid, pid);
      process.kill(pid ?? 0, 'SIGKILL');
      await running(daemon, 'app', 1);
      await copyFile(other, join(daemon.repository, basename(other)));
    }
    const healed = await daemon.until('it is read again', ({ conditions, repositories }) => {
      return conditions.length === 0 && repositories['packages']?.packages === 2;
    });
    assert.deepEqual(healed.repositories['packages']?.problems, []);
    await endsClean(daemon, before);
  },
);
