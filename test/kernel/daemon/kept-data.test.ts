// Persistent data over a trial on the real kernel: what a refused version has written is gone after the revert, what a confirmed one
// has written stays, and what cannot be kept stops nothing.
import assert from 'node:assert/strict';
import { chownSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { probePackage } from '../../support/packages.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import type { Status } from '../../../state/status.ts';

const fields = 'mounts: { /data: { type: persist } }';
const trial = 'trial: { soak: 500ms, within: 1m, boots: 1 }\n';
const packages = Promise.all([
  probePackage({ name: 'app', fields }),
  probePackage({ name: 'app', version: '2.0.0', fields, args: ['write', '/data/file', 'two', 'sleep'] }),
  probePackage({ name: 'app', version: '3.0.0', fields: `${fields}\ninit: /missing` }),
]);

const document = (repository: string, version: string, more = ''): string =>
  documentOf(repository, `app: { version: ${version}, settle: 200ms, persist: { snapshot: true }${more} }`);

const phase = (version: string) => (status: Status) =>
  status.containers['app']?.version === version && status.containers['app'].phase === 'Running' && status.converged;

async function applied(daemon: Daemon, text: string, ...options: string[]) {
  const file = join(daemon.directory, 'new.yaml');
  await writeFile(file, text);
  return await daemon.run('apply', '-f', file, ...options);
}

/** What has been put aside is taken down meanwhile. */
async function onlyItsData(daemon: Daemon): Promise<void> {
  const names = () => readdirSync(join(daemon.directory, 'data'));
  for (let turn = 0; turn < 100 && names().some((name) => name.startsWith('.keeping:')); turn++) await setTimeout(20);
  assert.deepEqual(names(), ['app']);
}

const withManual = (text: string): string => `${text.replace('...\n', '')}trial: { confirm: manual }\n...\n`;

test('the data of a version comes back with a revert and stays with a confirmation', async () => {
  const daemon = await startDaemon({
    packages: await packages,
    document: (repository) => document(repository, '1.0.0'),
    configuration: trial,
  });
  try {
    const data = (name: string): string => join(daemon.directory, 'data/app', name);
    await daemon.until('the first', phase('1.0.0'));
    for (let turn = 0; turn < 250 && !existsSync(join(daemon.directory, 'state/boot.plan')); turn++)
      await setTimeout(20);
    writeFileSync(data('file'), 'one');
    chownSync(data('file'), 1000, 1000);
    const { ino } = statSync(data('file'));
    const planned = join(daemon.directory, 'planned.yaml');
    const manual = withManual(document(daemon.repository, '2.0.0'));
    await writeFile(planned, manual);
    assert.match(
      (await daemon.run('plan', '-f', planned)).stdout,
      /keep-data +app +keep the persistent data of app:1\.0\.0/,
    );

    await applied(daemon, manual);
    const active = await daemon.until(
      'the second',
      (status) => phase('2.0.0')(status) && status.trial?.state === 'active',
    );
    assert.deepEqual(active.trial?.kept, ['app:1.0.0']);
    // No boot starts the confirmed version before its data is back.
    assert.ok(!existsSync(join(daemon.directory, 'state/boot.plan')));
    assert.match((await daemon.run('trial')).stdout, /persistent data is kept of: app:1\.0\.0/);
    assert.match(
      (await daemon.run('plan', '--revert')).stdout,
      /restore-data +app +bring back the persistent data of app:1\.0\.0/,
    );
    assert.equal(readFileSync(data('file'), 'utf8'), 'two');
    assert.equal(statSync(data('file')).ino, ino);

    assert.equal((await daemon.run('revert')).code, 0);
    const back = await daemon.until('back', (status) => phase('1.0.0')(status) && status.trial?.state === 'reverted');
    assert.deepEqual(back.trial?.kept, []);
    assert.equal(readFileSync(data('file'), 'utf8'), 'one');
    await onlyItsData(daemon);
    const { stdout: events } = await daemon.run('events');
    assert.match(events, /persistent data of app is kept\n[^]*persistent data of app is restored\n/);

    await daemon.run('quarantine', 'release');
    await applied(daemon, manual);
    await daemon.until('the second', (status) => phase('2.0.0')(status) && status.trial?.state === 'active');
    assert.equal((await daemon.run('confirm')).code, 0);
    await daemon.until('confirmed', (status) => status.trial?.state === 'confirmed' && status.trial.kept.length === 0);
    assert.equal(readFileSync(data('file'), 'utf8'), 'two');
    await onlyItsData(daemon);
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});

test('data stays as it is when the new version never ran, and when it cannot be kept', async () => {
  const daemon = await startDaemon({
    packages: await packages,
    document: (repository) => document(repository, '1.0.0'),
    configuration: `${trial}snapshot: { size: 1MB }\n`,
  });
  try {
    const data = join(daemon.directory, 'data/app');
    await daemon.until('the first', phase('1.0.0'));
    writeFileSync(join(data, 'file'), 'one');
    chownSync(join(data, 'file'), 1000, 1000);
    const inodes = () => [data, join(data, 'file')].map((path) => statSync(path).ino);
    const before = inodes();
    const isBack = (status: Status) => phase('1.0.0')(status) && status.trial?.state === 'reverted';

    // Its program is not there.
    const never = await applied(daemon, document(daemon.repository, '3.0.0', ', restart: { policy: never }'));
    assert.equal(never.code, 0, never.stderr);
    await daemon.until('back', isBack);
    await onlyItsData(daemon);
    assert.deepEqual(inodes(), before);

    // More than is kept: nothing is touched; forced, the trial ends before the other version has begun.
    writeFileSync(join(data, 'large'), Buffer.alloc(1_100_000, 1));
    const { pid } = (await daemon.until('as before', isBack)).containers['app'] ?? {};
    const refused = await applied(daemon, document(daemon.repository, '2.0.0'));
    assert.equal(refused.code, 7);
    assert.match(
      refused.stderr,
      /app: its persistent data cannot be kept: it has more than 1000000 bytes; raise snapshot/,
    );
    assert.equal((await daemon.until('as before', isBack)).containers['app']?.pid, pid);
    const forced = await applied(daemon, document(daemon.repository, '2.0.0'), '--force');
    assert.equal(forced.code, 0, forced.stderr);
    const back = await daemon.until('back', (status) => isBack(status) && status.containers['app']?.pid !== pid);
    assert.match(
      back.trial?.cause?.message ?? '',
      /persistent data of app cannot be kept: it has more than 1000000 bytes/,
    );
    await onlyItsData(daemon);
    assert.deepEqual(inodes(), before);
    assert.equal(readFileSync(join(data, 'file'), 'utf8'), 'one');
    assert.doesNotMatch((await daemon.run('events')).stdout, /started app:2\.0\.0/);
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});
