// Repositories in memory.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { sameIdentity } from '../../../native/file.ts';
import { isSealed } from '../../../native/memfd.ts';
import { readPackage } from '../../../src/npk/open-package.ts';
import {
  entry,
  fixture,
  install,
  installed,
  installedPackages,
  one,
  openAll,
  size,
  two,
  uninstall,
} from './repository-fixture.ts';

const scratch = (fields = {}) => entry('scratch', { type: 'mem', ...fields });
const into = { repository: 'scratch' };

test('a package in memory is sealed before anybody looks at it, and has the bytes that came', async () => {
  await openAll(scratch());
  await install(one, into);
  const [found] = installedPackages();
  const [fd] = fixture.kept.values();
  assert.ok(fd !== undefined && isSealed(fd));
  assert.deepEqual(readFileSync(found?.path ?? ''), await readFile(one));
  const file = await open(found?.path ?? '', 'r+');
  await assert.rejects(file.write('x'), { code: 'EPERM' });
  await assert.rejects(file.truncate(1), { code: 'EPERM' });
  await file.close();
  assert.equal((await readPackage(found?.path ?? '')).name, 'app');
});

test('the next reconciler finds what is in memory, each in its repository', async () => {
  await openAll(scratch(), entry('more', { type: 'mem' }));
  await install(one, into);
  await install(two, { repository: 'more' });
  const [before] = installedPackages();
  await fixture.repositories.close();
  await openAll(scratch(), entry('more', { type: 'mem' }));
  assert.deepEqual(installed(), ['app:1.0.0 in scratch', 'app:2.0.0 in more']);
  const [after] = installedPackages();
  assert.ok(before && after && sameIdentity(before.identity, after.identity));
  const found = installedPackages().find(({ repository }) => repository === 'more');
  await uninstall('app:2.0.0', found?.path ?? '');
});

test('a package that is deleted gives its memory back', async () => {
  await openAll(scratch());
  await install(one, into);
  const [found] = installedPackages();
  await uninstall('app:1.0.0', found?.path ?? '');
  assert.deepEqual([installed(), fixture.kept.size], [[], 0]);
});

test('capacity holds by number and by bytes, also for what is under way', async () => {
  await openAll(scratch({ capacity: { containers: 1, size: null } }));
  await install(one, into);
  await assert.rejects(install(two, into), { reason: 'RepositoryFull', message: /may hold 1 packages/ });
  const less = new Map([['scratch', scratch({ capacity: { containers: null, size: size + 10 } })]]);
  await fixture.repositories.setRepositories(less);
  await assert.rejects(install(two, into), { reason: 'RepositoryFull', message: /bytes/ });
});

test('an announcement that memory cannot hold is refused before a byte is read', async () => {
  await openAll(scratch());
  const never = new Readable({ read: () => assert.fail('it was read') });
  const most = 2 ** 50;
  await assert.rejects(fixture.repositories.installStream('scratch', most, never), /no memory for a package/);
  assert.equal(fixture.kept.size, 0);
});

test('a stream that breaks leaves nothing in memory', async () => {
  await openAll(scratch());
  const content = await readFile(one);
  const short = Readable.from([content.subarray(0, 100)]);
  await assert.rejects(fixture.repositories.installStream('scratch', size, short), { reason: 'SizeMismatch' });
  const garbage = Readable.from([Buffer.alloc(size)]);
  await assert.rejects(fixture.repositories.installStream('scratch', size, garbage), { reason: 'BadPackage' });
  assert.equal(fixture.kept.size, 0);
});

test('a repository that leaves the document stays as long as it is used, gives nothing, and comes back whole', async () => {
  await openAll(scratch());
  await install(one, into);
  const { repositories } = fixture;
  await repositories.setRepositories(new Map());
  assert.equal(await repositories.release(() => true), false);
  assert.deepEqual(installed(), []);
  assert.match(repositories.current().repositories.get('scratch')?.error ?? '', /not in the document, and stays/);
  await repositories.setRepositories(new Map([['scratch', scratch()]]));
  assert.deepEqual(installed(), ['app:1.0.0 in scratch']);
  assert.equal(repositories.current().repositories.get('scratch')?.error, null);
  await repositories.setRepositories(new Map());
  assert.equal(await repositories.release(() => false), true);
  assert.deepEqual([fixture.kept.size, repositories.current().repositories.size], [0, 0]);
});

test('a name that is too long for the launcher is refused, and nothing is kept', async () => {
  const id = 'r'.repeat(1000);
  await openAll(entry(id, { type: 'mem' }));
  await assert.rejects(install(one, { repository: id }), { reason: 'BadName' });
  assert.equal(fixture.kept.size, 0);
});
