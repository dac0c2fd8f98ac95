// What earlier boots have read of packages: it is found by bytes alone, and only what is whole, root's and of this build counts.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { openPackageContents, type PackageContents } from '../../../../controllers/repositories/package-contents.ts';
import type { PackageContent } from '../../../../controllers/repositories/repository.ts';
import { fileBytes, type FileBytes } from '../../../../src/npk/archive/bytes.ts';

let work = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-contents-'));
  mock.timers.enable({ apis: ['setTimeout'] });
});
after(async () => {
  mock.timers.reset();
  await rm(work, { recursive: true });
});

const none: ReadonlySet<string> = new Set();
const looked = [
  [90, 10],
  [0, 20],
  [40, 4],
] as const;

function opened(file: string, build = 'b1'): PackageContents {
  return openPackageContents({ file, owner: process.getuid?.() ?? 0, build, log: { debug: () => undefined } });
}

function contentOf(name: string, by: string | null = null): PackageContent {
  const signed = by === null ? null : { by, tree: {} };
  return { name, version: '1.0.0', manifest: { name, env: new Map([['A', 'b']]) }, defects: [], signed } as never;
}

/** A file of 100 bytes; `flip`: where it is another one. */
function bytesOf(seed: number, { flip = -1, size = 100 } = {}): FileBytes {
  const data = Buffer.from(Array.from({ length: size }, (_, index) => (index * 7 + seed) % 256));
  if (flip >= 0) data.writeUInt8(data.readUInt8(flip) ^ 1, flip);
  const read = (into: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }> =>
    Promise.resolve({ bytesRead: data.copy(into, offset, position, position + length) });
  return fileBytes({ read }, size);
}

/** As a reading does. */
async function look(bytes: FileBytes): Promise<FileBytes> {
  for (const [offset, length] of looked) await bytes.at(offset, length);
  return bytes;
}

/** What a boot leaves that has read these. */
async function boot(file: string, read: readonly (readonly [seed: number, content: PackageContent])[]): Promise<void> {
  const contents = opened(file);
  for (const [seed, content] of read) contents.add(await look(bytesOf(seed)), content);
  contents.settle(read.length);
  await written(file);
}

async function written(file: string): Promise<void> {
  const earlier = await stat(file).catch(() => null);
  mock.timers.tick(1000);
  while ((await stat(file).catch(() => null))?.ino === earlier?.ino) await turn();
}

test('the same bytes are known whatever the file is called, and any that was looked at makes them others', async () => {
  const file = join(work, 'bytes');
  await boot(file, [
    [1, contentOf('one')],
    [2, contentOf('two')],
  ]);
  const contents = opened(file);
  assert.deepEqual(await contents.find(bytesOf(2), none), contentOf('two'));
  assert.deepEqual(await contents.find(bytesOf(1), none), contentOf('one'));
  for (const [offset, length] of looked) {
    for (const flip of [offset, offset + length - 1])
      assert.equal(await contents.find(bytesOf(1, { flip }), none), null, String(flip));
  }
  assert.deepEqual(await contents.find(bytesOf(1, { flip: 60 }), none), contentOf('one'), 'nobody has looked there');
  assert.equal(await contents.find(bytesOf(1, { size: 101 }), none), null);
});

test('a key that has not signed it makes it unknown, and without keys nothing is signed', async () => {
  const file = join(work, 'keys');
  await boot(file, [
    [1, contentOf('signed', 'k1')],
    [2, contentOf('plain')],
  ]);
  const contents = opened(file);
  assert.deepEqual(await contents.find(bytesOf(1), new Set(['k0', 'k1'])), contentOf('signed', 'k1'));
  assert.equal(await contents.find(bytesOf(1), new Set(['k2'])), null);
  assert.equal(await contents.find(bytesOf(2), new Set(['k1'])), null);
  assert.deepEqual(await contents.find(bytesOf(1), none), contentOf('signed'));
});

test('a file that is torn, of another build or open to others is nothing', async () => {
  const file = join(work, 'damaged');
  await boot(file, [[1, contentOf('one')]]);
  const whole = await readFile(file);
  const isKnown = async (build?: string): Promise<boolean> =>
    (await opened(file, build).find(bytesOf(1), none)) !== null;
  assert.equal(await isKnown(), true);
  assert.equal(await isKnown('b2'), false);
  for (let length = 0; length < whole.length; length += 7) {
    await writeFile(file, whole.subarray(0, length));
    assert.equal(await isKnown(), false, `cut at ${length}`);
  }
  for (let at = 0; at < whole.length; at += 11) {
    const flipped = Buffer.from(whole);
    flipped.writeUInt8(flipped.readUInt8(at) ^ 0x10, at);
    await writeFile(file, flipped);
    assert.equal(await isKnown(), false, `another byte at ${at}`);
  }
  await writeFile(file, whole);
  await chmod(file, 0o666);
  assert.equal(await isKnown(), false);
  await chmod(file, 0o600);
  assert.equal(await isKnown(), true);
});

test('what a power cut has left of a writing goes when it is read', async () => {
  const file = join(work, 'cut-off');
  await boot(file, [[1, contentOf('one')]]);
  await writeFile(`${file}.new`, 'half');
  assert.deepEqual(await opened(file).find(bytesOf(1), none), contentOf('one'));
  await assert.rejects(stat(`${file}.new`), { code: 'ENOENT' });
});

test('it is written only for what is new, and holds what there is and a few more', async () => {
  const file = join(work, 'bound');
  await boot(file, [[0, contentOf('0')]]);
  const contents = opened(file);
  assert.notEqual(await contents.find(bytesOf(0), none), null);
  const { ino } = await stat(file);
  contents.settle(1);
  mock.timers.tick(5000);
  for (let i = 0; i < 10; i++) await turn();
  assert.equal((await stat(file)).ino, ino, 'nothing was new');
  for (let i = 1; i <= 30; i++) contents.add(await look(bytesOf(i)), contentOf(String(i)));
  contents.settle(4);
  await written(file);
  const next = opened(file);
  const found: number[] = [];
  for (let i = 0; i <= 30; i++) if ((await next.find(bytesOf(i), none)) !== null) found.push(i);
  assert.deepEqual(
    found,
    Array.from({ length: 20 }, (_, index) => 11 + index),
  );
});
