import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { pino } from 'pino';
import { TerminalError } from '../../../controllers/failure.ts';
import { createMounts, type Mounts } from '../../../controllers/mounts/mounts.ts';
import type { Image, MountStep, UmountStep } from '../../../controllers/mounts/mounts-plan.ts';
import { identityOf } from '../../../native/file.ts';
import { umount } from '../../../native/mount.ts';
import { readMountTable } from '../../../native/mounts-table.ts';
import { readPackage } from '../../../src/npk/open-package.ts';
import { run } from '../../support/command.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { enterMountNamespace } from '../../support/namespace.ts';
import { probePackage } from '../../support/packages.ts';

enterMountNamespace();

const { signal } = new AbortController();
const source = await probePackage({ name: 'app', files: { 'data/hello': 'hello' } });
let directory: string;
let mounts: Mounts;
let before: Set<string>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'northstate-mounts-'));
  mounts = createMounts({ runDir: directory, log: pino({ level: 'silent' }), verifyImage: async () => undefined });
  before = openDescriptors();
});

/** Whatever a test did, nothing of it is left: no mount, loop device, descriptor or directory. */
afterEach(async () => {
  for (const found of [...(await mounts.observe()).values()].flat()) await mounts.act(umountStep(found.id), signal);
  assert.deepEqual(await leftovers(basename(directory), before), []);
  assert.deepEqual(await readdir(join(directory, 'mounts')), []);
  await rm(directory, { recursive: true });
});

function mountStep(id: string, image: Image): MountStep {
  return { op: 'mount', name: id.split(':')[0] ?? '', id, image, waits: null };
}

function umountStep(id: string): UmountStep {
  return { op: 'umount', name: id.split(':')[0] ?? '', id, waits: null };
}

/** As images are in a repository without keys. */
const unsigned = { integrity: 'none', tree: null, repository: 'system', devices: false, context: null } as const;

/** The image of the test's package, in a copy that may be spoilt. */
async function anImage(devices = false): Promise<Image> {
  const path = join(directory, 'package.npk');
  await copyFile(source, path);
  const { image, identity } = await readPackage(path);
  return { path, offset: image.offset, size: image.size, type: image.type, identity, ...unsigned, devices };
}

async function mount(id: string, image: Image): Promise<void> {
  await mounts.act(mountStep(id, image), signal);
}

/** Checks that a mount fails for good with this reason, and leaves its mount point to nobody. */
async function fails(image: Image, reason: string, message: RegExp): Promise<void> {
  await assert.rejects(mount('app:1.0.0', image), (error) => {
    assert.ok(error instanceof TerminalError, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.message, message);
    return true;
  });
  assert.equal(mounts.observeOne('app:1.0.0'), null);
}

async function entryOf(id: string) {
  const target = mounts.pathOf(id);
  return readMountTable().filter((entry) => entry.target === target);
}

test('an image is mounted read-only, nosuid and nodev, straight from its range of the package', async () => {
  const image = await anImage();
  await mount('app:1.0.0', image);
  assert.equal(await readFile(join(mounts.pathOf('app:1.0.0'), 'data/hello'), 'utf8'), 'hello');
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  const line = table.split('\n').find((text) => text.includes(mounts.pathOf('app:1.0.0')));
  assert.match(line ?? '', / ro,nosuid,nodev\S* - squashfs \/dev\/loop\d+ ro/);
});

test('device nodes in an image work where they are wanted', async () => {
  await mount('app:1.0.0', await anImage(true));
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  const line = table.split('\n').find((text) => text.includes(mounts.pathOf('app:1.0.0')));
  assert.doesNotMatch(line ?? '', /nodev/);
});

test('an erofs image is mounted too', async () => {
  const path = join(directory, 'image.erofs');
  await mkdir(join(directory, 'tree'));
  await writeFile(join(directory, 'tree/hello'), 'hello');
  const { code, stderr } = await run('mkfs.erofs', [path, join(directory, 'tree')]);
  assert.equal(code, 0, stderr);
  const identity = identityOf(await stat(path));
  await mount('app:1.0.0', { path, offset: 0, size: identity.size, type: 'erofs', identity, ...unsigned });
  assert.equal(await readFile(join(mounts.pathOf('app:1.0.0'), 'hello'), 'utf8'), 'hello');
});

test('a mounted image is observed with its mount id and the file behind it, whole or by itself', async () => {
  const image = await anImage();
  await mount('app:1.0.0', image);
  const [entry] = await entryOf('app:1.0.0');
  const expected = {
    id: 'app:1.0.0',
    name: 'app',
    version: '1.0.0',
    mountId: entry?.mountId,
    target: mounts.pathOf('app:1.0.0'),
    backing: { dev: image.identity.dev, ino: image.identity.ino },
    integrity: 'intact',
  };
  assert.deepEqual(await mounts.observe(), new Map([['app', [expected]]]));
  assert.deepEqual(mounts.observeOne('app:1.0.0'), expected);
});

test('mounting what is mounted and unmounting what is not are done already', async () => {
  const image = await anImage();
  await mount('app:1.0.0', image);
  await mount('app:1.0.0', image);
  assert.equal((await entryOf('app:1.0.0')).length, 1);
  await mounts.act(umountStep('app:1.0.0'), signal);
  await mounts.act(umountStep('app:1.0.0'), signal);
  assert.equal(mounts.observeOne('app:1.0.0'), null);
});

test('an image that somebody unmounted is seen as gone and can be mounted again', async () => {
  const image = await anImage();
  await mount('app:1.0.0', image);
  await umount(mounts.pathOf('app:1.0.0'));
  assert.equal(mounts.observeOne('app:1.0.0'), null);
  assert.deepEqual(await mounts.observe(), new Map());
  await mount('app:1.0.0', image);
  assert.notEqual(mounts.observeOne('app:1.0.0'), null);
});

test('a mount on top of an image is what is seen, and is taken off first', async () => {
  await mount('app:1.0.0', await anImage());
  const below = mounts.observeOne('app:1.0.0');
  const { code } = await run('mount', ['-t', 'tmpfs', 'tmpfs', mounts.pathOf('app:1.0.0')]);
  assert.equal(code, 0);
  assert.equal((await mounts.observe()).get('app')?.[0]?.backing, null);
  await mounts.act(umountStep('app:1.0.0'), signal);
  assert.deepEqual(mounts.observeOne('app:1.0.0'), below);
});

test('an image with an open file cannot be unmounted until it is closed', async () => {
  await mount('app:1.0.0', await anImage());
  const file = await open(join(mounts.pathOf('app:1.0.0'), 'data/hello'));
  await assert.rejects(mounts.act(umountStep('app:1.0.0'), signal), /umount2 .*app:1.0.0: EBUSY/);
  await file.close();
  await mounts.act(umountStep('app:1.0.0'), signal);
});

test('an image that holds garbage is refused for good', async () => {
  const image = await anImage();
  const file = await open(image.path, 'r+');
  await file.write(Buffer.alloc(image.size, 'garbage'), 0, image.size, image.offset);
  await file.close();
  const identity = identityOf(await stat(image.path));
  await fails({ ...image, identity }, 'BadImage', /EINVAL: .*package.npk holds no squashfs image/);
});

test('an image that is cut short is refused for good', async () => {
  const image = await anImage();
  await fails({ ...image, size: 1024 }, 'BadImage', /holds no squashfs image/);
});

test('a package that ends before its image does is refused for good', async () => {
  const image = await anImage();
  await truncate(image.path, image.offset + 1024);
  const identity = identityOf(await stat(image.path));
  await fails({ ...image, identity }, 'BadImage', /ends before its image does/);
});

const changes: Record<string, (path: string) => Promise<void>> = {
  'was truncated': (path) => truncate(path, 100),
  'was replaced by another file': async (path) => {
    await copyFile(path, `${path}.new`);
    await rename(`${path}.new`, path);
  },
  'was written to and then given its old time': async (path) => {
    const { atime, mtime } = await stat(path);
    const file = await open(path, 'r+');
    await file.write('x', 5000);
    await file.close();
    await utimes(path, atime, mtime);
  },
  'was deleted': (path) => rm(path),
};

for (const [what, change] of Object.entries(changes)) {
  test(`a package that ${what} since it was read is not mounted`, async () => {
    const image = await anImage();
    await change(image.path);
    await fails(image, 'PackageChanged', /package\.npk has (changed|been deleted) since it was read/);
  });
}

test('a name that no directory can have is refused for good', async () => {
  const step = mountStep(`${'n'.repeat(300)}:1.0.0`, await anImage());
  await assert.rejects(mounts.act(step, signal), /name:version may have 255 characters at most/);
});

test('an unfinished start leaves a mount point, which the next one uses', async () => {
  await mkdir(mounts.pathOf('app:1.0.0'));
  await mount('app:1.0.0', await anImage());
  assert.notEqual(mounts.observeOne('app:1.0.0'), null);
});

test('a mount point of an unfinished start is taken away by the next reconciler, a mounted image is not', async () => {
  await mkdir(mounts.pathOf('other:1.0.0'));
  await mount('app:1.0.0', await anImage());
  const next = createMounts({ runDir: directory, log: pino({ level: 'silent' }), verifyImage: async () => undefined });
  assert.deepEqual(await readdir(join(directory, 'mounts')), ['app:1.0.0']);
  assert.deepEqual([...(await next.observe()).keys()], ['app']);
});

test('a cancelled mount does nothing', async () => {
  await assert.rejects(mounts.act(mountStep('app:1.0.0', await anImage()), AbortSignal.abort()), /abort/i);
  assert.equal(mounts.observeOne('app:1.0.0'), null);
});

test('two processes that mount twenty images each at once both get all their loop devices', async () => {
  const children = [0, 1].map((index) =>
    fork(join(import.meta.dirname, 'mount-many.ts'), [join(directory, `run${index}`), source, '20']),
  );
  const answers = children.map((child) => once(child, 'message'));
  const ends = children.map((child) => once(child, 'exit'));
  for (const child of children) child.send('go');
  assert.deepEqual(await Promise.all(answers.map(async (answer) => (await answer)[0] as number)), [20, 20]);
  assert.deepEqual(await Promise.all(ends.map(async (end) => (await end)[0] as number)), [0, 0]);
});

test('more calls at once than there are threads, and than koffi has room for, take turns', async () => {
  const ids = Array.from({ length: 400 }, (_, index) => `app:${index}.0.0`);
  await Promise.all(ids.map((id) => mounts.act(umountStep(id), signal)));
});

/** Runs with a /dev that holds only these character devices. */
async function withDevices(nodes: Record<string, [number, number]>, task: () => Promise<void>): Promise<void> {
  const devices = join(directory, 'devices');
  await mkdir(devices);
  assert.equal((await run('mount', ['-t', 'tmpfs', 'tmpfs', devices])).code, 0);
  for (const [name, [major, minor]] of Object.entries(nodes)) {
    assert.equal((await run('mknod', [join(devices, name), 'c', `${major}`, `${minor}`])).code, 0);
  }
  assert.equal((await run('mount', ['--move', devices, '/dev'])).code, 0);
  try {
    await task();
  } finally {
    await umount('/dev');
  }
}

test('a device that /dev has no node for is used all the same', async () => {
  const image = await anImage();
  await withDevices({ 'loop-control': [10, 237] }, async () => {
    await mount('app:1.0.0', image);
    assert.equal(mounts.observeOne('app:1.0.0')?.backing?.ino, image.identity.ino);
    assert.equal(await readFile(join(mounts.pathOf('app:1.0.0'), 'data/hello'), 'utf8'), 'hello');
    await mounts.act(umountStep('app:1.0.0'), signal);
  });
});

test('a host without loop devices is told what it lacks', async () => {
  const image = await anImage();
  await withDevices({}, async () => {
    await assert.rejects(mount('app:1.0.0', image), /loop-control cannot be opened: .*modprobe loop/);
  });
});
