// How images are checked before they are mounted, and what is seen of their files afterwards.
import assert from 'node:assert/strict';
import { chmod, copyFile, link, mkdtemp, open, readdir, readFile, rename, rm, stat, truncate } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { pino } from 'pino';
import { TerminalError } from '../../../controllers/failure.ts';
import { createMounts, type Mounts } from '../../../controllers/mounts/mounts.ts';
import type { Image, VerifyImage } from '../../../controllers/mounts/mounts-plan.ts';
import { identityOf } from '../../../native/file.ts';
import { readKeys } from '../../../src/npk/signature/keys.ts';
import { readPackage } from '../../../src/npk/open-package.ts';
import { createPackages } from '../../../controllers/repositories/package-reader.ts';
import type { Integrity } from '../../../state/desired.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { enterMountNamespace } from '../../support/namespace.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';

enterMountNamespace();

const { signal } = new AbortController();
const key = await keyPair('integrity');
const keys = await readKeys(key.public);
const source = await probePackage({ name: 'app', key: 'integrity', files: { bulk: bulk(200_000) } });
const id = 'app:1.0.0';
let directory: string;
let mounts: Mounts;
let before: Set<string>;

beforeEach(async () => {
  before = openDescriptors();
  directory = await mkdtemp(join(tmpdir(), 'northstate-integrity-'));
  mounts = mountsWith(createPackages().verifyImage);
});

/** No mount, loop device or descriptor of a test is left. */
afterEach(async () => {
  for (const found of [...(await mounts.observe()).values()].flat()) await umount(found.id);
  assert.deepEqual(await leftovers(basename(directory), before), []);
  await rm(directory, { recursive: true });
});

function mountsWith(verifyImage: VerifyImage): Mounts {
  return createMounts({ runDir: directory, log: pino({ level: 'silent' }), verifyImage });
}

/** The image of a copy of the package, in which a bit at an offset of the image may be another one. */
async function imageIn(
  path: string,
  integrity: Integrity,
  flip: ((tree: NonNullable<Image['tree']>) => number) | null,
) {
  await copyFile(source, path);
  const found = await readPackage(path, { keys });
  const tree = found.verified?.tree ?? assert.fail('not signed');
  if (flip !== null) await flipBit(path, found.image.offset + flip(tree));
  const { offset, size, type } = found.image;
  const identity = identityOf(await stat(path));
  const place = { path, identity, repository: 'system', devices: false, context: null };
  const image: Image = { offset, size, type, integrity, tree: integrity === 'none' ? null : tree, ...place };
  return image;
}

const anImage = (
  integrity: Integrity = 'full-check',
  flip: ((tree: NonNullable<Image['tree']>) => number) | null = null,
) => imageIn(join(directory, 'package.npk'), integrity, flip);

async function flipBit(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at);
  await file.close();
}

const mount = (image: Image, as = id) => mounts.act({ op: 'mount', name: 'app', id: as, image, waits: null }, signal);
const umount = (which: string) => mounts.act({ op: 'umount', name: 'app', id: which, waits: null }, signal);
const integrity = () => mounts.observeOne(id)?.integrity;

async function refused(image: Image, reason: string, message: RegExp): Promise<void> {
  await assert.rejects(mount(image), (error) => {
    assert.ok(error instanceof TerminalError, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.message, message);
    return true;
  });
  assert.equal(mounts.observeOne(id), null);
  assert.deepEqual(await readdir(join(directory, 'mounts')), []);
}

test('an image that is whole is mounted, and no more of the file is attached than was signed', async () => {
  const image = await anImage();
  await mount(image);
  assert.equal(await readFile(join(mounts.pathOf(id), 'bulk'), 'utf8'), bulk(200_000));
  const table = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const device = /\/dev\/(loop\d+)/.exec(table.find((line) => line.includes(mounts.pathOf(id))) ?? '')?.[1] ?? '';
  const limit = Number(readFileSync(`/sys/block/${device}/loop/sizelimit`, 'utf8'));
  assert.equal(limit, image.tree?.superblockOffset);
});

const faults: Record<string, { flip: (tree: NonNullable<Image['tree']>) => number; says: RegExp }> = {
  'the first data block': { flip: () => 0, says: /data block 0 / },
  'the last data block': { flip: ({ superblockOffset }) => superblockOffset - 1, says: /data block \d+ / },
  'the hash tree': { flip: ({ levels }) => (levels[0]?.offset ?? assert.fail()) + 40, says: /hash tree/ },
};

for (const [what, { flip, says }] of Object.entries(faults)) {
  test(`one wrong bit in ${what} refuses the mount for good`, async () => {
    await refused(await anImage('full-check', flip), 'BadIntegrity', says);
  });
}

test('a file that changes while it is checked is not mounted', async () => {
  const { verifyImage } = createPackages();
  const image = await anImage();
  mounts = mountsWith(async (file, ...rest) => {
    await verifyImage(file, ...rest);
    await flipBit(image.path, image.offset);
  });
  await refused(image, 'PackageChanged', /has changed while it was checked/);
});

test('as many images are checked at once as there are processors, and no more', async () => {
  let running = 0;
  let most = 0;
  const arrived = Promise.withResolvers<void>();
  mounts = mountsWith(async () => {
    running += 1;
    most = Math.max(most, running);
    if (running === availableParallelism()) arrived.resolve();
    await arrived.promise;
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  });
  const images = Array.from({ length: 3 * availableParallelism() }, (_, index) => index);
  await Promise.all(
    images.map(async (index) =>
      mount(await imageIn(join(directory, `${index}.npk`), 'full-check', null), `app:${index}.0.0`),
    ),
  );
  assert.equal(most, availableParallelism());
});

test('a check that is cancelled mounts nothing', async () => {
  const abort = new AbortController();
  mounts = mountsWith(async (_file, _image, _tree, given) => {
    abort.abort();
    given.throwIfAborted();
  });
  const step = { op: 'mount', name: 'app', id, image: await anImage(), waits: null } as const;
  await assert.rejects(mounts.act(step, abort.signal), /abort/i);
  assert.equal(mounts.observeOne(id), null);
});

test('on a kernel without a device mapper dm-verity is refused for good, and the alternative is named', async () => {
  const missing = !readFileSync('/proc/misc', 'utf8').includes('device-mapper');
  const image = await anImage('dm-verity');
  // Where there is one, the tests in qemu show what it does.
  if (missing) await refused(image, 'NoDeviceMapper', /no device mapper .*integrity: full-check in repository system/);
  else await mount(image);
});

const harmless: Record<string, (path: string) => Promise<void>> = {
  'is renamed': (path) => rename(path, `${path}.bak`),
  'is deleted': (path) => rm(path),
  'is replaced by rename': async (path) => {
    await copyFile(path, `${path}.new`);
    await rename(`${path}.new`, path);
  },
};

for (const [what, happen] of Object.entries(harmless)) {
  test(`an image whose file ${what} is what it was`, async () => {
    const image = await anImage('none');
    await mount(image);
    await happen(image.path);
    assert.equal(integrity(), 'intact');
    assert.equal(await readFile(join(mounts.pathOf(id), 'bulk'), 'utf8'), bulk(200_000));
  });
}

const writes: Record<string, (path: string) => Promise<void>> = {
  'is truncated': (path) => truncate(path, 8192),
  'is written to, and given its old time': async (path) => {
    const { atime, mtime } = await stat(path);
    await flipBit(path, 8192);
    const file = await open(path, 'r+');
    await file.utimes(atime, mtime);
    await file.close();
  },
  'is renamed and then written to': async (path) => {
    await rename(path, `${path}.bak`);
    await flipBit(`${path}.bak`, 8192);
  },
  'gets another mode, which may hide a write': (path) => chmod(path, 0o600),
  'gets another link, which may hide a write': (path) => link(path, `${path}.link`),
};

for (const [what, happen] of Object.entries(writes)) {
  test(`an image whose file ${what} is known to be written to, also to the next reconciler`, async () => {
    const image = await anImage('none');
    await mount(image);
    assert.equal(integrity(), 'intact');
    await happen(image.path);
    assert.equal(integrity(), 'written');
    const next = mountsWith(async () => undefined);
    assert.equal((await next.observe()).get('app')?.[0]?.integrity, 'written');
    assert.deepEqual(mounts.observeOne(id)?.backing, { dev: image.identity.dev, ino: image.identity.ino });
  });
}
