import assert from 'node:assert/strict';
import { watch } from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFile,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import { pino } from 'pino';
import { createRepositories, type Repositories } from '../../controllers/repositories.ts';
import type { InstallStep } from '../../controllers/repositories-plan.ts';
import { readPackage } from '../../src/npk/package.ts';
import type { RepositoryEntry } from '../../state/desired.ts';
import { run } from '../command.ts';
import { leftovers, openDescriptors } from '../leaks.ts';
import { enterMountNamespace } from '../namespace.ts';
import { probePackage } from '../packages.ts';

enterMountNamespace();
// All watches of a process share one inotify descriptor, which stays: it is opened before any are counted.
watch(tmpdir()).close();

const { signal } = new AbortController();
const one = await probePackage({ name: 'app' });
const two = await probePackage({ name: 'app', version: '2.0.0' });
const other = await probePackage({ name: 'other' });
const size = (await readFile(one)).length;

let directory: string;
let system: string;
let before: Set<string>;
let repositories: Repositories;
let reads: string[];
let warnings: string[];
let changes: string[][];
let changed: (names: string[]) => void;

beforeEach(async () => {
  before = openDescriptors();
  directory = await mkdtemp(join(tmpdir(), 'northstate-repositories-'));
  system = join(directory, 'system');
  await mkdir(system);
});

/** Whatever a test did, no descriptor, watch or file of it is left. */
afterEach(async () => {
  await repositories.close();
  assert.deepEqual(await leftovers(basename(directory), before), []);
  await rm(directory, { recursive: true });
});

function entry(id: string, fields: Partial<RepositoryEntry> = {}): RepositoryEntry {
  const capacity = { containers: null, size: null };
  const dir = join(directory, id);
  return { id, type: 'fs', dir, key: null, mountOnStart: false, capacity, integrity: 'full-check', ...fields };
}

/** Opens the repositories and reads them once. */
async function openAll(...entries: RepositoryEntry[]): Promise<void> {
  reads = [];
  warnings = [];
  changes = [];
  changed = () => undefined;
  repositories = createRepositories({
    entries: new Map(entries.map((each) => [each.id, each])),
    cacheFile: join(directory, 'cache'),
    readPackage: (path) => {
      reads.push(basename(path));
      return readPackage(path);
    },
    onChange: (names) => {
      changes.push([...names]);
      changed([...names]);
    },
    log: pino({ level: 'warn' }, { write: (line) => void warnings.push(line) }),
  });
  await repositories.observe();
}

/** Resolves when the repositories have noticed something and it holds. */
async function noticed(holds: () => boolean): Promise<void> {
  if (holds()) return;
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`not noticed: ${JSON.stringify(changes)}`)), 10_000);
    changed = () => {
      if (!holds()) return;
      clearTimeout(late);
      resolve();
    };
  });
}

/** What is installed: name:version, by repository. */
function installed(): string[] {
  const packages = [...repositories.current().packages.values()].flat();
  return packages.map(({ id, repository }) => `${id} in ${repository}`).sort();
}

function broken(): string[] {
  return [...repositories.current().repositories.values()].flatMap(({ broken: files }) =>
    files.map(({ message }) => message),
  );
}

function install(source: string, fields: Partial<InstallStep> = {}): Promise<void> {
  const step = { source, repository: 'system', digest: null, version: null, waits: null, ...fields };
  return repositories.act({ op: 'install', name: 'app', ...step }, signal);
}

test('packages are found whatever their files are called, highest version first', async () => {
  await copyFile(one, join(system, 'first'));
  await copyFile(two, join(system, 'second.bin'));
  await copyFile(other, join(system, 'other.npk'));
  await openAll(entry('system'));
  assert.deepEqual(installed(), ['app:1.0.0 in system', 'app:2.0.0 in system', 'other:1.0.0 in system']);
  assert.deepEqual(
    repositories
      .current()
      .packages.get('app')
      ?.map(({ version }) => version),
    ['2.0.0', '1.0.0'],
  );
  const { packages, size: bytes } = repositories.current().repositories.get('system') ?? {};
  assert.deepEqual([packages, (bytes ?? 0) > size], [3, true]);
});

test('files that are no packages are reported and end nothing', async () => {
  await writeFile(join(system, 'garbage'), randomBytes(10_000));
  await writeFile(join(system, 'empty'), '');
  await writeFile(join(system, 'cut'), (await readFile(one)).subarray(0, 5000));
  assert.equal((await run('mkfifo', [join(system, 'fifo')])).code, 0);
  await mkdir(join(system, 'directory'));
  await symlink('/nowhere', join(system, 'dangling'));
  await copyFile(one, join(system, 'fine'));
  await openAll(entry('system'));
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
  assert.deepEqual(
    broken()
      .map((message) => message.split(':')[0])
      .sort(),
    ['cut', 'empty', 'fifo', 'garbage'],
  );
});

test('a file that is renamed into the directory is noticed, one that is deleted too', async () => {
  await openAll(entry('system'));
  await copyFile(one, join(directory, 'elsewhere'));
  await rename(join(directory, 'elsewhere'), join(system, 'app.npk'));
  await noticed(() => installed().length === 1);
  assert.deepEqual(changes, [['app']]);
  await rm(join(system, 'app.npk'));
  await noticed(() => installed().length === 0);
  assert.deepEqual(changes, [['app'], ['app']]);
});

test('a file that is written in place is read once, when it has come to rest', async () => {
  await openAll(entry('system'));
  const content = await readFile(one);
  const path = join(system, 'app.npk');
  for (let at = 0; at < content.length; at += 1000) await appendFile(path, content.subarray(at, at + 1000));
  await noticed(() => installed().length === 1);
  assert.deepEqual(reads, ['app.npk']);
  assert.deepEqual(broken(), []);
});

test('a file that is replaced by another package concerns both names', async () => {
  await copyFile(one, join(system, 'some.npk'));
  await openAll(entry('system'));
  await copyFile(other, join(directory, 'new'));
  await rename(join(directory, 'new'), join(system, 'some.npk'));
  await noticed(() => installed()[0] === 'other:1.0.0 in system');
  assert.deepEqual(changes, [['app', 'other']]);
});

test('only what has changed is read again', async () => {
  await copyFile(one, join(system, 'one'));
  await copyFile(two, join(system, 'two'));
  await openAll(entry('system'));
  assert.deepEqual(reads.sort(), ['one', 'two']);
  await copyFile(other, join(system, 'other'));
  await noticed(() => installed().length === 3);
  await repositories.observe();
  assert.deepEqual(reads.sort(), ['one', 'other', 'two']);
});

test('the next reconciler parses nothing, unless a file has changed meanwhile', async () => {
  await copyFile(one, join(system, 'one'));
  await copyFile(two, join(system, 'two'));
  await openAll(entry('system'));
  const seen = repositories.current().packages;
  await repositories.close();
  await openAll(entry('system'));
  assert.deepEqual(reads, []);
  assert.deepEqual(repositories.current().packages, seen);
  await repositories.close();
  await copyFile(other, join(system, 'two'));
  await openAll(entry('system'));
  assert.deepEqual(reads, ['two']);
  assert.deepEqual(installed(), ['app:1.0.0 in system', 'other:1.0.0 in system']);
});

test('a cache file that is damaged is as good as none', async () => {
  await copyFile(one, join(system, 'one'));
  await writeFile(join(directory, 'cache'), randomBytes(100));
  await openAll(entry('system'));
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
});

test('a directory that is missing, comes, goes and comes back is followed', async () => {
  const deep = entry('system', { dir: join(directory, 'a/b/c') });
  await openAll(deep);
  assert.match(repositories.current().repositories.get('system')?.error ?? '', /ENOENT/);
  for (let round = 0; round < 2; round += 1) {
    await mkdir(deep.dir ?? '', { recursive: true });
    await copyFile(one, join(deep.dir ?? '', 'app.npk'));
    await noticed(() => installed().length === 1);
    assert.equal(repositories.current().repositories.get('system')?.error, null);
    await rm(join(directory, 'a'), { recursive: true });
    await noticed(() => repositories.current().repositories.get('system')?.error !== null);
    assert.deepEqual(installed(), []);
  }
});

test('a directory that another one takes the place of is read anew', async () => {
  await copyFile(one, join(system, 'app.npk'));
  await openAll(entry('system'));
  await mkdir(join(directory, 'next'));
  await copyFile(other, join(directory, 'next/other.npk'));
  await rename(system, join(directory, 'old'));
  await rename(join(directory, 'next'), system);
  await noticed(() => installed()[0] === 'other:1.0.0 in system');
  assert.deepEqual(installed(), ['other:1.0.0 in system']);
});

test('of a package in two repositories the first by id counts, with a warning; when it goes, the other does', async () => {
  await mkdir(join(directory, 'alpha'));
  await copyFile(one, join(system, 'one'));
  await copyFile(one, join(directory, 'alpha/one'));
  await openAll(entry('system'), entry('alpha'));
  assert.deepEqual(installed(), ['app:1.0.0 in alpha']);
  assert.match(warnings.join(), /system\/one: app:1.0.0 is already in .*alpha\/one.*installed twice/);
  await rm(join(directory, 'alpha/one'));
  await noticed(() => installed()[0] === 'app:1.0.0 in system');
});

test('repositories can be added, changed and removed while running', async () => {
  await mkdir(join(directory, 'more'));
  await copyFile(one, join(system, 'one'));
  await copyFile(other, join(directory, 'more/other'));
  await openAll(entry('system'));
  assert.deepEqual(
    await repositories.setRepositories(new Map([entry('system'), entry('more')].map((e) => [e.id, e]))),
    ['other'],
  );
  assert.deepEqual(installed(), ['app:1.0.0 in system', 'other:1.0.0 in more']);
  const moved = entry('system', { dir: join(directory, 'more') });
  assert.deepEqual((await repositories.setRepositories(new Map([['system', moved]]))).toSorted(), ['app', 'other']);
  assert.deepEqual(installed(), ['other:1.0.0 in system']);
  assert.deepEqual(await repositories.setRepositories(new Map()), ['other']);
  assert.equal(repositories.current().repositories.size, 0);
});

test('a repository in memory says that it is not supported', async () => {
  await openAll(entry('scratch', { type: 'mem', dir: null }));
  assert.match(repositories.current().repositories.get('scratch')?.error ?? '', /type mem is not supported/);
  await assert.rejects(install(one, { repository: 'scratch' }), /repository scratch: type mem is not supported/);
});

test('a package is installed under its name and version, with its digest known, also to the next reconciler', async () => {
  await openAll(entry('system'));
  await install(one);
  const digest = `sha256:${createHash('sha256')
    .update(await readFile(one))
    .digest('hex')}`;
  assert.deepEqual(await readdir(system), ['app:1.0.0.npk']);
  assert.deepEqual(await readFile(join(system, 'app:1.0.0.npk')), await readFile(one));
  assert.equal(repositories.current().packages.get('app')?.[0]?.digest, digest);
  await repositories.close();
  await openAll(entry('system'));
  assert.equal(repositories.current().packages.get('app')?.[0]?.digest, digest);
  assert.deepEqual(reads, []);
});

test('an installation of our own is no change by others', async () => {
  await openAll(entry('system'));
  await install(one);
  await copyFile(other, join(system, 'other'));
  await noticed(() => installed().length === 2);
  assert.deepEqual(changes, [['other']]);
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
    assert.deepEqual(await readdir(system), []);
    assert.deepEqual(installed(), []);
  });
}

test('what is installed is not installed again, neither in the same nor in another repository', async () => {
  await mkdir(join(directory, 'more'));
  await openAll(entry('system'), entry('more'));
  await install(one);
  await assert.rejects(install(one), { reason: 'AlreadyInstalled' });
  await assert.rejects(install(one, { repository: 'more' }), { reason: 'Duplicate' });
  assert.deepEqual(await readdir(join(directory, 'more')), []);
});

test('two installations of the same package at once: one of them is refused', async () => {
  await openAll(entry('system'));
  const results = await Promise.allSettled([install(one), install(one)]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.deepEqual(await readdir(system), ['app:1.0.0.npk']);
});

test('a damaged file of the same name is replaced, a sound one of another container is not', async () => {
  await writeFile(join(system, 'app:1.0.0.npk'), 'damaged');
  await copyFile(other, join(system, 'app:2.0.0.npk'));
  await openAll(entry('system'));
  await install(one);
  assert.deepEqual(broken(), []);
  await assert.rejects(install(two), /app:2.0.0.npk exists and holds another package/);
});

test('a full disk refuses an installation before a byte is written', async () => {
  assert.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', system])).code, 0);
  try {
    await openAll(entry('system'));
    await assert.rejects(install(one), /no space for a package of \d+ bytes: \d+ are free/);
    assert.deepEqual(await readdir(system), []);
  } finally {
    await repositories.close();
    assert.equal((await run('umount', [system])).code, 0);
  }
});

test('a disk that fills up during an installation leaves nothing of it', async () => {
  assert.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', system])).code, 0);
  try {
    await openAll(entry('system'));
    async function* filling() {
      const content = await readFile(one);
      yield content.subarray(0, 4096);
      await writeFile(join(system, 'filler'), Buffer.alloc(256 * 1024)).catch(() => undefined);
      yield content.subarray(4096);
    }
    await assert.rejects(repositories.installStream('system', size, Readable.from(filling())), /ENOSPC/);
    assert.deepEqual(await readdir(system), ['filler']);
  } finally {
    await repositories.close();
    assert.equal((await run('umount', [system])).code, 0);
  }
});

test('a stream is installed, and gives the container', async () => {
  await openAll(entry('system'));
  const content = await readFile(one);
  const bytes = Readable.from([content.subarray(0, 100), content.subarray(100)]);
  assert.equal(await repositories.installStream('system', size, bytes), 'app:1.0.0');
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
});

test('a stream that ends early, is too long or breaks leaves nothing', async () => {
  await openAll(entry('system'));
  const content = await readFile(one);
  const install_ = (bytes: Readable) => repositories.installStream('system', size, bytes);
  await assert.rejects(install_(Readable.from([content.subarray(0, 100)])), /expected a package of \d+ bytes, got 100/);
  await assert.rejects(install_(Readable.from([content, content])), /expected a package of \d+ bytes, got more/);
  const breaking = new Readable({ read: () => undefined });
  breaking.push(content.subarray(0, 100));
  const failed = assert.rejects(install_(breaking), /the client is gone/);
  breaking.destroy(new Error('the client is gone'));
  await failed;
  assert.deepEqual(await readdir(system), []);
});

test('a copy that a crash cut short is removed, and never taken for a package', async () => {
  await copyFile(one, join(system, '.northstate-install-1234'));
  await openAll(entry('system'));
  assert.deepEqual(installed(), []);
  assert.deepEqual(await readdir(system), []);
});

test('the digest of a package that was there already is found out once', async () => {
  await copyFile(one, join(system, 'one'));
  await openAll(entry('system'));
  const [found] = repositories.current().packages.get('app') ?? [];
  assert.equal(found?.digest, null);
  await repositories.act({ op: 'digest', name: 'app', id: 'app:1.0.0', path: found.path, waits: null }, signal);
  const digest = createHash('sha256')
    .update(await readFile(one))
    .digest('hex');
  assert.equal(repositories.current().packages.get('app')?.[0]?.digest, `sha256:${digest}`);
});

test('a package is deleted, and deleting it again is done already', async () => {
  await copyFile(one, join(system, 'one'));
  await openAll(entry('system'));
  const step = { op: 'uninstall', name: 'app', id: 'app:1.0.0', path: join(system, 'one'), waits: null } as const;
  await repositories.act(step, signal);
  await repositories.act(step, signal);
  assert.deepEqual([await readdir(system), installed()], [[], []]);
});

test('a file that holds another package by now is not deleted', async () => {
  await copyFile(one, join(system, 'one'));
  await openAll(entry('system'));
  const step = { op: 'uninstall', name: 'app', id: 'app:2.0.0', path: join(system, 'one'), waits: null } as const;
  await repositories.act(step, signal);
  assert.deepEqual(await readdir(system), ['one']);
});
