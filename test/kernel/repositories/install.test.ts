import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { InstallStep } from '../../../controllers/repositories/repositories-plan.ts';
import type { RepositoryEntry } from '../../../state/desired.ts';
import { run } from '../../support/command.ts';
import {
  broken,
  entry,
  findDigest,
  fixture,
  install,
  installed,
  noticed,
  one,
  openAll,
  other,
  size,
  two,
  uninstall,
} from './repository-fixture.ts';

test('a package is installed under its name and version, with its digest known, also to the next reconciler', async () => {
  await openAll(entry('system'));
  await install(one);
  const digest = `sha256:${createHash('sha256')
    .update(await readFile(one))
    .digest('hex')}`;
  assert.deepEqual(await readdir(fixture.system), ['app:1.0.0.npk']);
  assert.deepEqual(await readFile(join(fixture.system, 'app:1.0.0.npk')), await readFile(one));
  assert.equal(fixture.repositories.current().packages.get('app')?.[0]?.digest, digest);
  await fixture.repositories.close();
  await openAll(entry('system'));
  assert.equal(fixture.repositories.current().packages.get('app')?.[0]?.digest, digest);
  assert.deepEqual(fixture.reads, []);
});

test('an installation of our own is no change by others', async () => {
  await openAll(entry('system'));
  await install(one);
  await copyFile(other, join(fixture.system, 'other'));
  await noticed(() => installed().length === 2);
  assert.deepEqual(fixture.changes, [['other']]);
});

const refusals: Record<
  string,
  { source?: string; fields?: Partial<InstallStep>; entry?: Partial<RepositoryEntry>; says: RegExp }
> = {
  'a source that is missing': { source: '/nowhere/app.npk', says: /source \/nowhere\/app.npk: no such file/ },
  'a source that is a directory': { source: '/', says: /source \/: not a regular file/ },
  'a source that is no package': { source: '/proc/self/exe', says: /not a package/ },
  'other bytes than the digest says': {
    fields: { digest: 'sha256:00' },
    says: /the package has sha256:.*, the document asks for sha256:00/,
  },
  'another version than was asked for': { fields: { version: '1.0.1' }, says: /holds app 1.0.0, not app 1.0.1/ },
  'a version that does not meet the requirement': { fields: { version: '^2' }, says: /holds app 1.0.0, not app \^2/ },
  'a version that another entry wants absent': {
    fields: { unwanted: ['1.0.0'] },
    says: /holds app 1.0.0, which another entry wants absent/,
  },
  'a package of another name': { source: other, says: /holds other 1.0.0, not app/ },
  'a repository that there is not': {
    fields: { repository: 'nowhere' },
    says: /repository nowhere: there is no such repository/,
  },
  'a repository with no place for another package': {
    entry: { capacity: { containers: 0, size: null } },
    says: /repository system is full: it may hold 0 packages/,
  },
  'a repository with no place for so many bytes': {
    entry: { capacity: { containers: null, size: 1000 } },
    says: /repository system is full: it may hold 1000 bytes/,
  },
};

for (const [what, { source = one, fields = {}, entry: repository = {}, says }] of Object.entries(refusals)) {
  test(`an installation is refused and leaves nothing: ${what}`, async () => {
    await openAll(entry('system', repository));
    await assert.rejects(install(source, fields), says);
    assert.deepEqual(await readdir(fixture.system), []);
    assert.deepEqual(installed(), []);
  });
}

test('what is installed is not installed again, neither in the same nor in another repository', async () => {
  await mkdir(join(fixture.directory, 'more'));
  await openAll(entry('system'), entry('more'));
  await install(one);
  await assert.rejects(install(one), { reason: 'AlreadyInstalled' });
  const { size } = await stat(one);
  const again = fixture.repositories.installStream('more', size, createReadStream(one));
  await assert.rejects(again, { reason: 'Duplicate' });
  assert.deepEqual(await readdir(join(fixture.directory, 'more')), []);
});

test('an entry that names a repository has its package there, whatever others hold', async () => {
  await mkdir(join(fixture.directory, 'more'));
  await openAll(entry('system'), entry('more'));
  await install(one);
  await install(one, { repository: 'more' });
  assert.deepEqual(await readdir(join(fixture.directory, 'more')), ['app:1.0.0.npk']);
});

test('two installations of the same package at once: one of them is refused', async () => {
  await openAll(entry('system'));
  const results = await Promise.allSettled([install(one), install(one)]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.deepEqual(await readdir(fixture.system), ['app:1.0.0.npk']);
});

test('a damaged file of the same name is replaced, a sound one of another container is not', async () => {
  await writeFile(join(fixture.system, 'app:1.0.0.npk'), 'damaged');
  await copyFile(other, join(fixture.system, 'app:2.0.0.npk'));
  await openAll(entry('system'));
  await install(one);
  assert.equal(broken().size, 0);
  await assert.rejects(install(two), /app:2.0.0.npk exists and holds another package/);
});

test('a full disk refuses an installation before a byte is written', async () => {
  assert.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', fixture.system])).code, 0);
  try {
    await openAll(entry('system'));
    await assert.rejects(install(one), /no space for a package of \d+ bytes: \d+ are free/);
    assert.deepEqual(await readdir(fixture.system), []);
  } finally {
    await fixture.repositories.close();
    assert.equal((await run('umount', [fixture.system])).code, 0);
  }
});

test('a disk that fills up during an installation leaves nothing of it', async () => {
  assert.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', fixture.system])).code, 0);
  try {
    await openAll(entry('system'));
    async function* filling() {
      const content = await readFile(one);
      yield content.subarray(0, 4096);
      await writeFile(join(fixture.system, 'filler'), Buffer.alloc(256 * 1024)).catch(() => undefined);
      yield content.subarray(4096);
    }
    await assert.rejects(fixture.repositories.installStream('system', size, Readable.from(filling())), /ENOSPC/);
    assert.deepEqual(await readdir(fixture.system), ['filler']);
  } finally {
    await fixture.repositories.close();
    assert.equal((await run('umount', [fixture.system])).code, 0);
  }
});

test('a stream is installed, and gives the container', async () => {
  await openAll(entry('system'));
  const content = await readFile(one);
  const bytes = Readable.from([content.subarray(0, 100), content.subarray(100)]);
  assert.equal(await fixture.repositories.installStream('system', size, bytes), 'app:1.0.0');
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
});

test('a stream that ends early, is too long or breaks leaves nothing', async () => {
  await openAll(entry('system'));
  const content = await readFile(one);
  const install_ = (bytes: AsyncIterable<Uint8Array>) => fixture.repositories.installStream('system', size, bytes);
  await assert.rejects(install_(Readable.from([content.subarray(0, 100)])), /expected a package of \d+ bytes, got 100/);
  await assert.rejects(install_(Readable.from([content, content])), /expected a package of \d+ bytes, got more/);
  async function* breaking() {
    yield content.subarray(0, 100);
    throw new Error('the client is gone');
  }
  await assert.rejects(install_(breaking()), /the client is gone/);
  assert.deepEqual(await readdir(fixture.system), []);
});

test('a copy that a crash cut short is removed, and never taken for a package', async () => {
  await copyFile(one, join(fixture.system, '.northstate-install-1234'));
  await openAll(entry('system'));
  assert.deepEqual(installed(), []);
  assert.deepEqual(await readdir(fixture.system), []);
});

test('the digest of a package that was there already is found out once', async () => {
  await copyFile(one, join(fixture.system, 'one'));
  await openAll(entry('system'));
  const [found] = fixture.repositories.current().packages.get('app') ?? [];
  assert.equal(found?.digest, null);
  await findDigest('app:1.0.0', found.path);
  const digest = createHash('sha256')
    .update(await readFile(one))
    .digest('hex');
  assert.equal(fixture.repositories.current().packages.get('app')?.[0]?.digest, `sha256:${digest}`);
});

test('a package is deleted, and deleting it again is done already', async () => {
  await copyFile(one, join(fixture.system, 'one'));
  await openAll(entry('system'));
  await uninstall('app:1.0.0', join(fixture.system, 'one'));
  await uninstall('app:1.0.0', join(fixture.system, 'one'));
  assert.deepEqual([await readdir(fixture.system), installed()], [[], []]);
});

test('a file that holds another package by now is not deleted', async () => {
  await copyFile(one, join(fixture.system, 'one'));
  await openAll(entry('system'));
  await uninstall('app:2.0.0', join(fixture.system, 'one'));
  assert.deepEqual(await readdir(fixture.system), ['one']);
});

test('a directory on a read-only file system is read, and an installation into it says so', async () => {
  await copyFile(two, join(fixture.system, 'two'));
  await copyFile(one, join(fixture.system, '.northstate-install-1234'));
  assert.equal((await run('mount', ['--bind', fixture.system, fixture.system])).code, 0);
  assert.equal((await run('mount', ['-o', 'remount,bind,ro', fixture.system])).code, 0);
  try {
    await openAll(entry('system'));
    assert.deepEqual(installed(), ['app:2.0.0 in system']);
    await assert.rejects(install(one), { reason: 'RepositoryReadOnly', message: /read-only \(EROFS\)/ });
    await assert.rejects(uninstall('app:2.0.0', join(fixture.system, 'two')), /EROFS/);
  } finally {
    await fixture.repositories.close();
    assert.equal((await run('umount', [fixture.system])).code, 0);
  }
});

test('installations under way count: together they take no more than there is room for', async () => {
  await openAll(entry('system', { capacity: { containers: null, size: size + 100 } }));
  const slow = Readable.from(
    (async function* () {
      yield await readFile(one);
    })(),
  );
  const first = fixture.repositories.installStream('system', size, slow);
  await assert.rejects(install(two), { reason: 'RepositoryFull' });
  assert.equal(await first, 'app:1.0.0');
  assert.deepEqual(await readdir(fixture.system), ['app:1.0.0.npk']);
});

test('an installation into a repository that has just come into the document waits until that is read', async () => {
  await openAll();
  const set = fixture.repositories.setRepositories(new Map([['system', entry('system')]]));
  await install(one);
  await set;
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
});
