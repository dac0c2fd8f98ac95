import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import {
  appendFile,
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import {
  broken,
  entry,
  fixture,
  install,
  installed,
  noticed,
  one,
  openAll,
  other,
  size,
  two,
} from './repository-fixture.ts';

test('packages are found whatever their files are called, highest version first', async () => {
  await copyFile(one, join(fixture.system, 'first'));
  await copyFile(two, join(fixture.system, 'second.bin'));
  await copyFile(other, join(fixture.system, 'other.npk'));
  await openAll(entry('system'));
  assert.deepEqual(installed(), ['app:1.0.0 in system', 'app:2.0.0 in system', 'other:1.0.0 in system']);
  assert.deepEqual(
    fixture.repositories
      .current()
      .packages.get('app')
      ?.map(({ version }) => version),
    ['2.0.0', '1.0.0'],
  );
  const { packages, size: bytes } = fixture.repositories.current().repositories.get('system') ?? {};
  assert.deepEqual([packages, (bytes ?? 0) > size], [3, true]);
});

test('files that are no packages are reported and end nothing', async () => {
  await writeFile(join(fixture.system, 'garbage'), randomBytes(10_000));
  await writeFile(join(fixture.system, 'empty'), '');
  await writeFile(join(fixture.system, 'cut'), (await readFile(one)).subarray(0, 5000));
  assert.equal((await run('mkfifo', [join(fixture.system, 'fifo')])).code, 0);
  await mkdir(join(fixture.system, 'directory'));
  await symlink('/nowhere', join(fixture.system, 'dangling'));
  await copyFile(one, join(fixture.system, 'fine'));
  await openAll(entry('system'));
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
  assert.deepEqual([...broken().keys()].sort(), ['cut', 'empty', 'fifo', 'garbage']);
});

test('a file that is renamed into the directory is noticed, one that is deleted too', async () => {
  await openAll(entry('system'));
  await copyFile(one, join(fixture.directory, 'elsewhere'));
  await rename(join(fixture.directory, 'elsewhere'), join(fixture.system, 'app.npk'));
  await noticed(() => installed().length === 1);
  assert.deepEqual(fixture.changes, [['app']]);
  await rm(join(fixture.system, 'app.npk'));
  await noticed(() => installed().length === 0);
  assert.deepEqual(fixture.changes, [['app'], ['app']]);
});

test('a file that is written in place is read once, when it has come to rest', async () => {
  await openAll(entry('system'));
  const content = await readFile(one);
  const path = join(fixture.system, 'app.npk');
  for (let at = 0; at < content.length; at += 1000) await appendFile(path, content.subarray(at, at + 1000));
  await noticed(() => installed().length === 1);
  assert.deepEqual(fixture.reads, ['app.npk']);
  assert.equal(broken().size, 0);
});

test('a file that is replaced by another package concerns both names', async () => {
  await copyFile(one, join(fixture.system, 'some.npk'));
  await openAll(entry('system'));
  await copyFile(other, join(fixture.directory, 'new'));
  await rename(join(fixture.directory, 'new'), join(fixture.system, 'some.npk'));
  await noticed(() => installed()[0] === 'other:1.0.0 in system');
  assert.deepEqual(fixture.changes, [['app', 'other']]);
});

test('only what has changed is read again', async () => {
  await copyFile(one, join(fixture.system, 'one'));
  await copyFile(two, join(fixture.system, 'two'));
  await openAll(entry('system'));
  assert.deepEqual(fixture.reads.toSorted(), ['one', 'two']);
  await copyFile(other, join(fixture.system, 'other'));
  await noticed(() => installed().length === 3);
  await fixture.repositories.observe();
  assert.deepEqual(fixture.reads.toSorted(), ['one', 'other', 'two']);
});

test('the next reconciler parses and writes nothing, unless a file has changed meanwhile', async () => {
  await copyFile(one, join(fixture.system, 'one'));
  await copyFile(two, join(fixture.system, 'two'));
  await openAll(entry('system'));
  const seen = fixture.repositories.current().packages;
  await fixture.repositories.close();
  const { ino } = await stat(join(fixture.directory, 'cache'));
  await openAll(entry('system'));
  assert.deepEqual(fixture.reads, []);
  await fixture.repositories.close();
  assert.equal((await stat(join(fixture.directory, 'cache'))).ino, ino);
  await openAll(entry('system'));
  assert.deepEqual(fixture.repositories.current().packages, seen);
  await fixture.repositories.close();
  await copyFile(other, join(fixture.system, 'two'));
  await openAll(entry('system'));
  assert.deepEqual(fixture.reads, ['two']);
  assert.deepEqual(installed(), ['app:1.0.0 in system', 'other:1.0.0 in system']);
});

test('a cache file that is damaged is as good as none', async () => {
  await copyFile(one, join(fixture.system, 'one'));
  await writeFile(join(fixture.directory, 'cache'), randomBytes(100));
  await openAll(entry('system'));
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
});

test('a directory that is missing, comes, goes and comes back is followed', async () => {
  const deep = entry('system', { dir: join(fixture.directory, 'a/b/c') });
  await openAll(deep);
  assert.match(fixture.repositories.current().repositories.get('system')?.error ?? '', /ENOENT/);
  for (let round = 0; round < 2; round += 1) {
    await mkdir(deep.dir ?? '', { recursive: true });
    await copyFile(one, join(deep.dir ?? '', 'app.npk'));
    await noticed(() => installed().length === 1);
    assert.equal(fixture.repositories.current().repositories.get('system')?.error, null);
    await rm(join(fixture.directory, 'a'), { recursive: true });
    await noticed(() => fixture.repositories.current().repositories.get('system')?.error !== null);
    assert.deepEqual(installed(), []);
  }
});

test('a directory that is missing is waited for, however its path is spelt', async () => {
  await openAll(entry('system', { dir: `${fixture.directory}/system/../later//here` }));
  assert.match(fixture.repositories.current().repositories.get('system')?.error ?? '', /ENOENT/);
  await mkdir(join(fixture.directory, 'later/here'), { recursive: true });
  await copyFile(one, join(fixture.directory, 'later/here/app.npk'));
  await noticed(() => installed().length === 1);
});

test('a directory that is made takes an installation at once, before the watch has told of it', async () => {
  const later = join(fixture.directory, 'later');
  await openAll(entry('system', { dir: later }));
  await assert.rejects(install(one), { reason: 'UnknownRepository', message: /ENOENT/ });
  // In one turn of the loop: nothing can have been told.
  mkdirSync(later);
  const { length: before } = fixture.changes;
  await install(one);
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
  assert.equal(fixture.repositories.current().repositories.get('system')?.error, null);
  assert.ok(fixture.changes.length > before, 'whoever listens is told that the repository is there');
});

test('a repository that is closed while it is looked at watches nothing any more', async () => {
  const missing = { keys: [join(fixture.directory, 'no.pub')], integrity: 'full-check' } as const;
  await openAll(entry('system', missing));
  const looked = assert.rejects(install(one), { reason: 'UnknownRepository' });
  await fixture.repositories.close();
  await looked;
});

test('a directory that another one takes the place of is read anew', async () => {
  await copyFile(one, join(fixture.system, 'app.npk'));
  await openAll(entry('system'));
  await mkdir(join(fixture.directory, 'next'));
  await copyFile(other, join(fixture.directory, 'next/other.npk'));
  await rename(fixture.system, join(fixture.directory, 'old'));
  await rename(join(fixture.directory, 'next'), fixture.system);
  await noticed(() => installed()[0] === 'other:1.0.0 in system');
  assert.deepEqual(installed(), ['other:1.0.0 in system']);
});

test('a directory that is deleted while a file of it is used is followed when it is made again', async () => {
  const path = join(fixture.system, 'app.npk');
  await copyFile(one, path);
  await openAll(entry('system'));
  // What an image of it that is mounted does: the directory that was deleted stays, and tells nothing.
  await using _used = await open(path);
  await rm(fixture.system, { recursive: true });
  await noticed(() => installed().length === 0);
  await mkdir(fixture.system);
  await noticed(() => fixture.repositories.current().repositories.get('system')?.error === null);
  await copyFile(other, join(fixture.system, 'other.npk'));
  await noticed(() => installed().join() === 'other:1.0.0 in system');
});

test('a repository whose directory is a link is where the link leads, for who lists and who installs', async () => {
  const [first, second] = [join(fixture.directory, 'a'), join(fixture.directory, 'b')];
  for (const directory of [first, second]) await mkdir(directory);
  await copyFile(one, join(first, 'app.npk'));
  const current = join(fixture.directory, 'current');
  await symlink('a', current);
  await openAll(entry('system', { dir: current }));
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
  await symlink(second, `${current}.new`);
  await rename(`${current}.new`, current);
  await noticed(() => installed().length === 0);
  await install(two);
  assert.deepEqual([await readdir(first), await readdir(second)], [['app.npk'], ['app:2.0.0.npk']]);
  assert.deepEqual(installed(), ['app:2.0.0 in system']);
});

test('a file system that is mounted over a repository is the repository, until it is unmounted', async () => {
  await copyFile(one, join(fixture.system, 'app.npk'));
  await openAll(entry('system'));
  assert.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', fixture.system])).code, 0);
  fixture.repositories.follow();
  await noticed(() => installed().length === 0);
  await copyFile(other, join(fixture.system, 'other.npk'));
  await noticed(() => installed().join() === 'other:1.0.0 in system');
  assert.equal((await run('umount', [fixture.system])).code, 0);
  fixture.repositories.follow();
  await noticed(() => installed().join() === 'app:1.0.0 in system');
});

test('of a package in two repositories the first by id counts, with a warning; when it goes, the other does', async () => {
  await mkdir(join(fixture.directory, 'alpha'));
  await copyFile(one, join(fixture.system, 'one'));
  await copyFile(one, join(fixture.directory, 'alpha/one'));
  await openAll(entry('system'), entry('alpha'));
  assert.deepEqual(installed(), ['app:1.0.0 in alpha']);
  assert.match(fixture.warnings.join(), /system\/one: app:1.0.0 is already in .*alpha\/one.*installed twice/);
  await rm(join(fixture.directory, 'alpha/one'));
  await noticed(() => installed()[0] === 'app:1.0.0 in system');
});

test('repositories can be added, changed and removed while running', async () => {
  await mkdir(join(fixture.directory, 'more'));
  await copyFile(one, join(fixture.system, 'one'));
  await copyFile(other, join(fixture.directory, 'more/other'));
  await openAll(entry('system'));
  assert.deepEqual(
    await fixture.repositories.setRepositories(new Map([entry('system'), entry('more')].map((e) => [e.id, e]))),
    ['other'],
  );
  assert.deepEqual(installed(), ['app:1.0.0 in system', 'other:1.0.0 in more']);
  const moved = entry('system', { dir: join(fixture.directory, 'more') });
  assert.deepEqual((await fixture.repositories.setRepositories(new Map([['system', moved]]))).toSorted(), [
    'app',
    'other',
  ]);
  assert.deepEqual(installed(), ['other:1.0.0 in system']);
  assert.deepEqual(await fixture.repositories.setRepositories(new Map()), ['other']);
  assert.equal(fixture.repositories.current().repositories.size, 0);
});
