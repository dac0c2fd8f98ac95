// Images that dm-verity checks block by block, on a kernel with a device mapper: the device by itself, then a whole daemon.
// Runs in the guest.
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { TerminalError } from '../../../controllers/failure.ts';
import { createMounts, type Mounts } from '../../../controllers/mounts/mounts.ts';
import type { Image } from '../../../controllers/mounts/mounts-plan.ts';
import { createVerityDevice, mappedDevices, removeWhenUnused } from '../../../native/device-mapper.ts';
import { attachLoop } from '../../../native/loop-device.ts';
import { connectConsole, type Client } from '../../../src/client/console-client.ts';
import { readKeys } from '../../../src/npk/signature/keys.ts';
import { readPackage } from '../../../src/npk/open-package.ts';
import { startDaemon } from '../../support/test-daemon.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { enterMountNamespace } from '../../support/namespace.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';
import { patience } from '../../support/patience.ts';

enterMountNamespace();

const { signal } = new AbortController();
const { EIO } = constants.errno;
const key = await keyPair('guest');
const keys = await readKeys(key.public);
const files = { bulk: bulk(200_000) };
const good = await probePackage({ name: 'app', key: 'guest', files });

let directory: string;
let mounts: Mounts;
let before: Set<string>;

beforeEach(async () => {
  before = openDescriptors();
  directory = await mkdtemp(join(tmpdir(), 'northstate-verity-'));
  mounts = mountsIn(directory);
});

/** No mount, loop device, mapped device or descriptor of a test is left. */
afterEach(async () => {
  for (const { id } of [...(await mounts.observe()).values()].flat()) await umount(id);
  assert.deepEqual(await leftovers(basename(directory), before), []);
  await untilMapped([]);
  await rm(directory, { recursive: true });
});

function mountsIn(runDir: string): Mounts {
  return createMounts({
    runDir,
    log: pino({ level: 'silent' }),
    verifyImage: async () => assert.fail('not asked for'),
  });
}

/** Names of the devices of the device mapper. */
function mapped(): string[] {
  return mappedDevices('northstate-').map(({ name }) => name);
}

/** Waits until these are all that is left: the kernel takes unused devices away in a work queue, and says nothing. */
async function untilMapped(names: readonly string[]): Promise<void> {
  const deadline = performance.now() + patience;
  while (mapped().sort().join() !== names.toSorted().join() && performance.now() < deadline) await delay(20);
  assert.deepEqual(mapped().sort(), names.toSorted());
}

/** The image of a copy of the package, in which a bit at an offset of the image may be another one. */
async function image(flip: ((tree: NonNullable<Image['tree']>) => number) | null = null): Promise<Image> {
  const path = join(directory, 'package.npk');
  await copyFile(good, path);
  const tree = (await readPackage(path, { keys })).verified?.tree ?? assert.fail('not signed');
  if (flip !== null) await flipBit(path, (await readPackage(path)).image.offset + flip(tree));
  const {
    image: { offset, size, type },
    identity,
  } = await readPackage(path);
  return {
    path,
    offset,
    size,
    type,
    identity,
    integrity: 'dm-verity',
    tree,
    repository: 'system',
    devices: false,
    context: null,
  };
}

async function flipBit(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at);
  await file.close();
}

const mount = (of: Image) => mounts.act({ op: 'mount', name: 'app', id: 'app:1.0.0', image: of, waits: null }, signal);
const umount = (id: string) => mounts.act({ op: 'umount', name: 'app', id, waits: null }, signal);
const read = () => readFile(join(mounts.pathOf('app:1.0.0'), 'bulk'), 'utf8');
const seen = () => mounts.observeOne('app:1.0.0');

test('a good image is read through a device that checks it, and everything goes with the mount', async () => {
  const of = await image();
  await mount(of);
  assert.equal(await read(), files.bulk);
  assert.deepEqual(seen()?.backing, { dev: of.identity.dev, ino: of.identity.ino });
  assert.equal(seen()?.integrity, 'intact');
  assert.equal(mapped().length, 1);
  await mount(of); // done already
  assert.equal(mapped().length, 1);
  assert.deepEqual(mountsIn(directory).observeOne('app:1.0.0'), seen());
  await umount('app:1.0.0');
  await untilMapped([]);
});

test('a corrupted data block is EIO to its reader and to nobody else, and shows', async () => {
  // In the middle of the file's data, which begins near the start of the image.
  await mount(await image(() => 10 * 4096 + 100));
  await assert.rejects(read(), { code: 'EIO' });
  assert.deepEqual(await readdir(mounts.pathOf('app:1.0.0')), ['bulk', 'probe']);
  assert.equal(seen()?.integrity, 'corrupted');
  assert.equal((await mounts.observe()).get('app')?.[0]?.integrity, 'corrupted');
});

test('a corrupted hash tree is refused by the mount, or by the first read', async () => {
  const of = await image(({ levels }) => (levels[0]?.offset ?? assert.fail('no tree')) + 40);
  const error: unknown = await mount(of)
    .then(read)
    .catch((reason: unknown) => reason);
  assert.ok(error instanceof Error && /EIO/.test(error.message), String(error));
});

test('another root hash than that of the image refuses the mount for good, and leaves no device', async () => {
  const of = await image();
  const tree = { ...(of.tree ?? assert.fail('no tree')), rootHash: 'ab'.repeat(32) };
  await assert.rejects(
    mount({ ...of, tree }),
    (error) => error instanceof TerminalError && error.reason === 'BadImage',
  );
  await untilMapped([]);
});

test('a table that the kernel refuses leaves no device', async () => {
  const of = await image();
  const tree = { ...(of.tree ?? assert.fail('no tree')), rootHash: 'ab' };
  await assert.rejects(mount({ ...of, tree }), /DM_TABLE_LOAD .*EINVAL/);
  await untilMapped([]);
});

test('a device that is in use is removed when it is no longer', async () => {
  const of = await image();
  await mount(of);
  const inside = await open(join(mounts.pathOf('app:1.0.0'), 'bulk'));
  await removeWhenUnused(mapped()[0] ?? '');
  assert.equal(mapped().length, 1);
  await inside.close();
  await umount('app:1.0.0');
  await untilMapped([]);
});

test('what a dead runtime has left is swept by the next one, another runtime device and a mounted one are not', async () => {
  const of = await image();
  await mount(of);
  const [own = ''] = mapped();
  const prefix = own.slice(0, own.lastIndexOf('-') + 1);
  const file = await open(of.path);
  const tree = of.tree ?? assert.fail('no tree');
  const loop = await attachLoop(file.fd, of, of.path, 'left', 10_000);
  for (const name of [`${prefix}left`, 'northstate-00000000-foreign']) {
    await createVerityDevice({ name, uuid: name }, `7:${loop.minor}`, tree);
  }
  loop.close();
  await file.close();
  assert.equal(mappedDevices(prefix).length, 2);
  await mountsIn(directory).sweep();
  await untilMapped([own, 'northstate-00000000-foreign']);
  assert.equal(await read(), files.bulk);
  await removeWhenUnused('northstate-00000000-foreign');
});

const document = (entries: string) => (dir: string) => `apiVersion: northstate/v1
repositories: { packages: { type: fs, dir: ${dir}, key: ${key.public} } }
containers: { ${entries} }
...
`;

test('a whole runtime: what is checked is in the status; a corrupted block is EIO, a condition and an event, and restart decides', async () => {
  const opened = openDescriptors();
  const reader = await probePackage({ name: 'reader', key: 'guest', files, args: ['cat', '/bulk', 'exit', '7'] });
  const copy = join(directory, basename(reader));
  await copyFile(reader, copy);
  await flipBit(copy, (await readPackage(copy)).image.offset + 10 * 4096 + 100);
  const entries = 'app: { state: running }, reader: { state: mounted, restart: { policy: never } }';
  await using daemon = await startDaemon({ packages: [good, copy], document: document(entries) });
  const { repositories } = await daemon.until('converged', ({ converged }) => converged);
  assert.equal(repositories['packages']?.verified, true);
  assert.equal(repositories['packages'].integrity, 'dm-verity');

  const client = await connectConsole(daemon.console);
  await client.call('watch', null);
  const told = lostImage(client);
  await daemon.run('start', 'reader');
  assert.deepEqual(await told, ['reader:1.0.0', 'corrupted']);
  client.close();
  const { lastExit, conditions } = await daemon.untilContainer(
    'reader',
    'has ended, and its image is known to be bad',
    (each) => each.phase === 'Exited' && each.conditions.some(({ reason }) => reason === 'BlocksCorrupted'),
  );
  assert.deepEqual(lastExit, { code: EIO });
  assert.equal(conditions.find(({ type }) => type === 'IntegrityLost')?.status, 'True');
  const { phase } = await daemon.untilContainer('app', 'runs on', ({ pid }) => pid !== null);
  assert.equal(phase, 'Running');
  assert.equal(await daemon.stop(), 0, daemon.log());
  assert.deepEqual(await leftovers(daemon.mark, opened), []);
});

/** The first event about a lost image. */
async function lostImage(client: Client) {
  for await (const each of client.notifications()) {
    if (typeof each === 'object' && 'integrity_lost' in each) return each.integrity_lost;
  }
  return null;
}
