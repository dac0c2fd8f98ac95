// Reads that fail for a while: what was known counts, a condition says so, and it is read again.
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import type { RuntimeConditionType, Status } from '../../../state/status.ts';
import { run } from '../../support/command.ts';
import { openDescriptors } from '../../support/leaks.ts';
import { inject } from '../../support/inject.ts';
import { probePackage } from '../../support/packages.ts';
import { succeed } from '../../support/successor.ts';
import { endsClean, running } from '../../support/scenario.ts';
import { untilLogged } from '../../support/successor.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

const app = await probePackage({ name: 'app' });
const other = await probePackage({ name: 'other' });
const entry = 'app: { version: 1.0.0, state: running, restart: { policy: always, backoff: 0s } }';

/** The launcher starts another one at once. */
function killReconciler(daemon: Daemon): void {
  process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
}

/** The status once a condition of the runtime stands for a subject. */
function stands(daemon: Daemon, type: RuntimeConditionType, subject: string): Promise<Status> {
  return daemon.until(`${type} ${subject}`, ({ conditions }) =>
    conditions.some((condition) => condition.type === type && condition.subject === subject),
  );
}

const healthy = (daemon: Daemon): Promise<Status> =>
  daemon.until('nothing is wrong any more', ({ conditions, document }) => {
    return conditions.length === 0 && document.status === 'ok';
  });

test('a repository that gives EIO keeps what was known of it, and is read when it can be', async () => {
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [app],
    document: (directory) => documentOf(directory, entry),
  });
  const { pid } = await running(daemon, 'app');
  {
    await using _fault = await inject(daemon.pid, { calls: 'getdents64', error: 'EIO', paths: [daemon.repository] });
    killReconciler(daemon);
    const status = await stands(daemon, 'Unreadable', daemon.repository);
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
});

test('a document that gives EIO stays in force, also for the next reconciler', async () => {
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [app, other],
    document: (directory) => documentOf(directory, entry),
  });
  const { pid } = await running(daemon, 'app');
  const { generation } = await daemon.until('converged', ({ converged }) => converged);
  {
    const paths = [daemon.document];
    await using _fault = await inject(daemon.pid, { calls: 'lstat,newfstatat,statx,openat', error: 'EIO', paths });
    for (let deaths = 0; deaths < 3; deaths += 1) {
      const last = daemon.reconciler();
      killReconciler(daemon);
      await daemon.until('another one is up', () => daemon.reconciler() !== null && daemon.reconciler() !== last);
      const status = await stands(daemon, 'Unreadable', daemon.document);
      assert.match(status.document.error?.message ?? '', /EIO/, daemon.log());
      assert.deepEqual([status.generation, status.containers['app']?.pid], [generation, pid]);
    }
    await daemon.write(documentOf(daemon.repository, entry, 'other: { version: 1.0.0, state: running }'));
  }
  await running(daemon, 'other');
  const { containers } = await healthy(daemon);
  assert.equal(containers['app']?.pid, pid);
  await endsClean(daemon, before);
});

test('a document that is a link to itself is named, and ends no reconciler', async () => {
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages: [app], document: (directory) => documentOf(directory, entry) });
  const { pid } = await running(daemon, 'app');
  await unlink(daemon.document);
  await symlink(basename(daemon.document), daemon.document);
  const looped = (): Promise<Status> =>
    daemon.until('it says so', ({ document }) => /ELOOP/.test(document.error?.message ?? ''));
  await looped();
  const last = daemon.reconciler();
  killReconciler(daemon);
  await daemon.until('another one is up', () => daemon.reconciler() !== null && daemon.reconciler() !== last);
  assert.equal((await looped()).containers['app']?.pid, pid);
  await daemon.write(documentOf(daemon.repository, entry));
  await healthy(daemon);
  await endsClean(daemon, before);
});

test('without inotify it says so, looks by a timer, and is told again', async () => {
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [app],
    document: (directory) => documentOf(directory, entry),
  });
  const { pid } = await running(daemon, 'app');
  {
    await using _fault = await inject(daemon.pid, { calls: 'inotify_init1', error: 'EMFILE' });
    killReconciler(daemon);
    await stands(daemon, 'NotWatched', daemon.repository);
    await stands(daemon, 'NotWatched', dirname(daemon.document));
    const shown = await daemon.run('get');
    assert.match(shown.stdout, /NotWatched .*EMFILE.* every 10 s/);
    await copyFile(other, join(daemon.repository, basename(other)));
    await daemon.write(documentOf(daemon.repository, entry, 'other: { version: 1.0.0, state: running }'));
    await running(daemon, 'other');
  }
  const { containers } = await healthy(daemon);
  assert.equal(containers['app']?.pid, pid);
  await daemon.write(documentOf(daemon.repository, entry, 'other: { version: 1.0.0, state: mounted }'));
  await daemon.untilContainer('other', 'has been stopped', ({ phase }) => phase === 'Mounted');
  await endsClean(daemon, before);
});

test('a mount table that cannot be read ends no reconciler, and what runs goes on', async () => {
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [app],
    document: (directory) => documentOf(directory, entry),
  });
  const { pid } = await running(daemon, 'app');
  const table = '/proc/self/mountinfo';
  const fault = { calls: 'openat', error: 'EMFILE', paths: [table] };
  {
    await using _fault = await inject(daemon.reconciler() ?? 0, fault);
    const inIts = ['--mount', '--target', String(daemon.reconciler())];
    await run('nsenter', [...inIts, 'mount', '--bind', daemon.repository, daemon.repository]);
    await run('nsenter', [...inIts, 'umount', daemon.repository]);
    await stands(daemon, 'Unreadable', table);
  }
  await healthy(daemon);
  {
    await using _fault = await inject(daemon.pid, fault);
    // More often than a generation would be borne that ends them.
    for (let death = 0; death < 6; death++) {
      killReconciler(daemon);
      await untilLogged(daemon, 'what the kernel shows cannot be read', death + 1);
    }
  }
  const { containers, generation, document } = await healthy(daemon);
  assert.deepEqual([containers['app']?.pid, containers['app']?.restarts, generation], [pid, 0, 1]);
  assert.equal(document.status, 'ok');
  await endsClean(daemon, before);
});

/** Takes the disk of a runtime away from being written to: all of its directory but runDir. */
const readOnly = (directory: string, before: string): readonly string[] => {
  const script = `${before}; mount --bind "$1" "$1"; mount --bind "$1/run" "$1/run"; mount -o remount,ro,bind "$1"`;
  return ['unshare', '--mount', 'sh', '-ec', `${script}; shift; exec "$@"`, 'sh', directory];
};

test('a disk that is read-only at boot: it comes up with what it has, says so, and stores what came when it can', async () => {
  const before = openDescriptors();
  const directory = await mkdtemp(join(tmpdir(), 'northstate-'));
  await using daemon = await startDaemon({
    packages: [app, other],
    directory,
    document: (packages) => documentOf(packages, entry, 'other: { version: 1.0.0, state: running }'),
    prefix: readOnly(directory, 'true'),
  });
  const { pid } = await running(daemon, 'app');
  await running(daemon, 'other');
  const generations = join(directory, 'state/generations');
  await stands(daemon, 'NotDurable', generations);
  const stopped = await daemon.run('stop', 'app');
  assert.deepEqual([stopped.code, stopped.stdout], [0, 'app stopped\n']);
  assert.match(stopped.stderr, /^northstate: not durable: .*EROFS/);
  const document = join(daemon.runDir, 'other.yaml');
  await writeFile(document, documentOf(daemon.repository, entry, 'other: { version: 1.0.0, state: mounted }'));
  const applied = await daemon.run('apply', '-f', document);
  assert.equal(applied.code, 0, applied.stderr);
  assert.match(applied.stderr, /northstate: not durable: .*EROFS/);
  // The next reconciler has it all, and says the same.
  await succeed(daemon);
  await stands(daemon, 'NotDurable', generations);
  await daemon.untilContainer('other', 'is as applied', ({ phase }) => phase === 'Mounted');
  const again = await running(daemon, 'app');
  assert.notEqual(again.pid, pid);
  await run('nsenter', ['--mount', '--target', String(daemon.pid), 'mount', '-o', 'remount,rw,bind', directory]);
  await run('nsenter', [
    '--mount',
    '--target',
    String(daemon.reconciler()),
    'mount',
    '-o',
    'remount,rw,bind',
    directory,
  ]);
  const { generation } = await daemon.until('it is stored', ({ conditions }) => conditions.length === 0);
  assert.match((await daemon.run('history')).stdout, new RegExp(`^ *${generation} `, 'm'));
  assert.doesNotMatch((await daemon.run('stop', 'app')).stderr, /not durable/);
  await endsClean(daemon, before);
});

test('a stateDir that is missing on a read-only disk is one in runDir for this boot, and says so', async () => {
  const before = openDescriptors();
  const directory = await mkdtemp(join(tmpdir(), 'northstate-'));
  await using daemon = await startDaemon({
    packages: [app],
    directory,
    document: (packages) => documentOf(packages, entry),
    prefix: readOnly(directory, 'rmdir "$1/state" "$1/data"'),
  });
  await running(daemon, 'app');
  const { conditions } = await stands(daemon, 'NotDurable', join(daemon.runDir, 'state'));
  assert.match(JSON.stringify(conditions), new RegExp(`stateDir: ${directory}/state cannot be made: EROFS`));
  const stopped = await daemon.run('stop', 'app');
  assert.equal(stopped.code, 0, stopped.stderr);
  assert.match(stopped.stderr, /^northstate: not durable: .*EROFS/);
  killReconciler(daemon);
  await daemon.untilContainer('app', 'stays stopped', ({ phase }) => phase === 'Mounted');
  await endsClean(daemon, before);
});
