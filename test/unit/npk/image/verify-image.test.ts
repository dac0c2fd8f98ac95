// Full checks of images against their hash trees, on files that consist of nothing else.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PackageError, type PackageFault } from '../../../../src/npk/package-error.ts';
import { createHasher } from '../../../../src/npk/image/hasher.ts';
import { treeLevels } from '../../../../src/npk/image/verity.ts';
import { verifyImage } from '../../../../src/npk/image/verify-image.ts';
import type { HashTree } from '../../../../state/observed.ts';

const block = 4096;
const salt = 'ab'.repeat(32);
const hasher = createHasher(2);
let work = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-verity-'));
});
after(async () => {
  await hasher.close();
  await rm(work, { recursive: true });
});

interface Signed extends AsyncDisposable {
  readonly handle: FileHandle;
  readonly image: {
    readonly offset: number;
    readonly size: number;
    readonly type: 'squashfs';
    readonly compression: 'none';
  };
  readonly tree: HashTree;
  /** Changes a bit of the image. */
  flip(at: number): Promise<void>;
}

function digests(data: Buffer): Buffer {
  const hashes: Buffer[] = [];
  for (let at = 0; at < data.length; at += block) {
    hashes.push(
      createHash('sha256')
        .update(Buffer.from(salt, 'hex'))
        .update(data.subarray(at, at + block))
        .digest(),
    );
  }
  const all = Buffer.concat(hashes);
  return Buffer.concat([all, Buffer.alloc((block - (all.length % block)) % block)]);
}

/** A file with so many different data blocks and their tree, built the plain way; the image starts at 8192. */
async function signed(dataBlocks: number): Promise<Signed> {
  const data = Buffer.alloc(dataBlocks * block);
  for (let i = 0; i < dataBlocks; i++) data.writeUInt32LE(i + 1, i * block);
  const levels: Buffer[] = [];
  let below: Buffer = data;
  while (below.length > block) levels.push((below = digests(below)));
  const rootHash = digests(below).toString('hex', 0, 32);
  const content = Buffer.concat([Buffer.alloc(8192), data, Buffer.alloc(block), ...levels.reverse()]);
  const handle = await open(join(work, `image-${dataBlocks}`), 'w+');
  await handle.write(content);
  const superblockOffset = data.length;
  const treeOffset = superblockOffset + block;
  return {
    handle,
    image: { offset: 8192, size: content.length - 8192, type: 'squashfs', compression: 'none' },
    tree: {
      algorithm: 'sha256',
      rootHash,
      salt,
      uuid: '',
      dataBlocks,
      superblockOffset,
      treeOffset,
      levels: treeLevels(dataBlocks, treeOffset).levels,
    },
    async flip(at) {
      const byte = Buffer.alloc(1);
      await handle.read(byte, 0, 1, 8192 + at);
      byte[0] = (byte[0] ?? 0) ^ 1;
      await handle.write(byte, 0, 1, 8192 + at);
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

function fault(reason: PackageFault, message: RegExp) {
  return (error: unknown) => error instanceof PackageError && error.reason === reason && message.test(error.message);
}

for (const blocks of [1, 2, 128, 129, 2048, 2049, 16384, 16385]) {
  test(`an image of ${blocks} blocks is found whole, and every byte of it is reported`, async () => {
    await using file = await signed(blocks);
    const { handle, image, tree } = file;
    const seen: number[] = [];
    await verifyImage(handle, image, tree, { hasher, onProgress: (bytes) => seen.push(bytes) });
    assert.equal(seen.at(-1), blocks * block);
  });
}

test('the first of several wrong data blocks is named', async () => {
  await using file = await signed(16385);
  for (const wrong of [16384, 9000, 5000, 4999]) await file.flip(wrong * block + 17);
  await assert.rejects(verifyImage(file.handle, file.image, file.tree, { hasher }), fault('image', /data block 4999 /));
});

test('the last byte of the last block counts', async () => {
  await using file = await signed(2049);
  await file.flip(2049 * block - 1);
  await assert.rejects(verifyImage(file.handle, file.image, file.tree, { hasher }), fault('image', /data block 2048 /));
});

test('the one data block of an image without a tree counts', async () => {
  await using file = await signed(1);
  await file.flip(0);
  await assert.rejects(verifyImage(file.handle, file.image, file.tree, { hasher }), fault('image', /data block 0 /));
});

test('a wrong block in any level of the tree is named, also where no hash is in it', async () => {
  for (const level of [0, 1, 2]) {
    await using file = await signed(16385);
    const { offset, blocks } = file.tree.levels[level]!;
    await file.flip(offset + blocks * block - 1);
    const message = new RegExp(`block ${blocks - 1} of level ${level} of the hash tree`);
    await assert.rejects(verifyImage(file.handle, file.image, file.tree, { hasher }), fault('verity', message));
  }
});

test('a file that was cut off is refused', async () => {
  await using file = await signed(2049);
  await file.handle.truncate(8192 + 2000 * block);
  await assert.rejects(verifyImage(file.handle, file.image, file.tree, { hasher }));
});

test('an aborted check rejects with the reason', async () => {
  await using file = await signed(16385);
  const abort = new AbortController();
  const onProgress = (): void => abort.abort(new Error('enough'));
  await assert.rejects(
    verifyImage(file.handle, file.image, file.tree, { hasher, signal: abort.signal, onProgress }),
    /^Error: enough$/,
  );
});

test('several images are checked at once', async () => {
  const files = await Promise.all([2049, 4000, 6000, 129].map(signed));
  await Promise.all(files.map(({ handle, image, tree }) => verifyImage(handle, image, tree, { hasher })));
  for (const { handle } of files) await handle.close();
});

test('a hasher that was closed rejects', async () => {
  await using file = await signed(2049);
  const closed = createHasher(1);
  const asked = verifyImage(file.handle, file.image, file.tree, { hasher: closed });
  const refused = assert.rejects(asked, /was ended/);
  await closed.close();
  await refused;
  await assert.rejects(verifyImage(file.handle, file.image, file.tree, { hasher: closed }), /are ended/);
});
