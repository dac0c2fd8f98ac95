// What a signature vouches for, on packages that are made and signed here.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileBytes, type Bytes } from '../../../../src/npk/archive/bytes.ts';
import { PackageError, type PackageFault } from '../../../../src/npk/package-error.ts';
import { createHasher, type Hasher } from '../../../../src/npk/image/hasher.ts';
import { publicKeyOf, rawSecretKey } from '../../../../src/npk/signature/keys.ts';
import { pack } from '../../../../src/npk/pack.ts';
import { openPackage, packageIn, readContent, readPackage } from '../../../../src/npk/open-package.ts';
import { signatureYaml } from '../../../../src/npk/signature/sign.ts';
import { verifyImage } from '../../../../src/npk/image/verify-image.ts';
import { makeTree } from '../../../../src/npk/image/write-verity.ts';
import { archive, extraField } from '../archives.ts';

const { privateKey: secret } = generateKeyPairSync('ed25519');
const keys = [publicKeyOf(secret)];
const others = [publicKeyOf(generateKeyPairSync('ed25519').privateKey)];
const comment = 'version: 0.9.2\n';
const manifest = 'name: a\nversion: 1.0.0\ninit: /app\nuid: 1000\ngid: 1001\n';
const block = 4096;
let work = '';
let hasher: Hasher;
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-signed-'));
  hasher = createHasher(1);
  await writeFile(join(work, 'manifest.yaml'), manifest);
  await writeFile(join(work, 'secret.key'), rawSecretKey(secret));
});
after(async () => {
  await hasher.close();
  await rm(work, { recursive: true });
});

async function packed(): Promise<string> {
  const { path } = await pack({ manifest: join(work, 'manifest.yaml'), out: work, key: join(work, 'secret.key') });
  return path;
}

/** Blocks that begin with a squashfs superblock, which says that the file system has `used` bytes. */
function squashfs(blocks: number, used = blocks * block): Buffer {
  const image = Buffer.alloc(blocks * block);
  image.writeUInt32LE(0x73717368);
  image.writeUInt32LE(131072, 12);
  image.writeUInt16LE(1, 20);
  image.writeUInt16LE(17, 22);
  image.writeUInt16LE(4, 28);
  image.writeBigUInt64LE(BigInt(used), 40);
  return image;
}

/** The verity data over blocks, by the code that packs. */
async function treeOver(data: Buffer): Promise<{ bytes: Buffer; rootHash: string }> {
  const path = join(work, 'data');
  await writeFile(path, data);
  await using handle = await open(path);
  return await makeTree(handle, data.length / block, {
    salt: 'ab'.repeat(32),
    uuid: '01234567-89ab-cdef-0123-456789abcdef',
    hasher,
  });
}

async function written(image: Buffer, signature: string, note = comment): Promise<string> {
  const before = 30 * 3 + 'manifest.yamlsignature.yamlfs.img'.length + manifest.length + signature.length + 4;
  const extra = extraField(0xa11e, Buffer.alloc((2 * block - (before % block)) % block));
  const path = join(work, 'made.npk');
  const parts = [
    { name: 'manifest.yaml', data: manifest },
    { name: 'signature.yaml', data: signature },
    { name: 'fs.img', data: image, extra },
  ];
  await writeFile(path, archive(parts, note));
  return path;
}

function fault(reason: PackageFault, message: RegExp) {
  return (error: unknown) => error instanceof PackageError && error.reason === reason && message.test(error.message);
}

test('a package that a key signed is verified with it, and what it vouches for is told', async () => {
  const { verified, signed, image } = await readPackage(await packed(), { keys });
  assert.ok(signed && verified !== null);
  assert.equal(verified.key, keys[0]);
  assert.equal(verified.tree.superblockOffset, verified.tree.dataBlocks * block);
  assert.ok(verified.tree.superblockOffset < image.size);
});

test('while keys are changed, either of them will do; none at all will not', async () => {
  const path = await packed();
  assert.equal((await readPackage(path, { keys: [...others, ...keys] })).verified?.key, keys[0]);
  await assert.rejects(readPackage(path, { keys: others }), fault('signature', /was not made with the key/));
  await assert.rejects(readPackage(path, { keys: [] }), fault('signature', /was not made with the key/));
});

test('a package without a signature is refused when there is a key, and read when there is none', async () => {
  const { path } = await pack({ manifest: join(work, 'manifest.yaml'), out: join(work, 'plain.npk') });
  assert.equal((await readPackage(path)).verified, null);
  await assert.rejects(readPackage(path, { keys }), fault('signature', /it is not signed, and a key is asked for/));
});

test('a package in an open file without a name is verified there, blocks and all', async () => {
  const { handle, package: found } = await openPackage(await packed(), { keys });
  await rm(found.path);
  try {
    const again = await packageIn(handle, 'memory', { keys });
    assert.equal(again.name, 'a');
    assert.ok(again.verified !== null);
    await verifyImage(handle, again.image, again.verified.tree, { hasher });
  } finally {
    await handle.close();
  }
});

test('a file system that reaches beyond what is signed is refused', async () => {
  const [first, all] = [squashfs(1, 3 * block), squashfs(4, 3 * block)];
  const { bytes, rootHash } = await treeOver(first);
  // The tree covers the first block only, and its superblock lies where the file system's own blocks would be.
  bytes.copy(all, block);
  const signature = signatureYaml({ comment, manifest, rootHash, verityOffset: block }, secret);
  await assert.rejects(
    readPackage(await written(all, signature), { keys }),
    fault('verity', /the file system has 12288 bytes, of which only 4096 are signed/),
  );
});

test('the comment must be signed, too: else it could be changed for that of another format', async () => {
  const data = squashfs(2);
  const { bytes, rootHash } = await treeOver(data);
  const whole = signatureYaml({ comment, manifest, rootHash, verityOffset: data.length }, secret);
  const document = whole.replace(/^meta:\n.*\n/, '').replace(/---\n[^]*/, '');
  const signature = `${document}---\nsignature: ${sign(null, Buffer.from(document), secret).toString('base64')}`;
  const path = await written(Buffer.concat([data, bytes]), signature);
  await assert.rejects(readPackage(path, { keys }), fault('signature', /does not cover the archive comment/));
});

test('hashes are compared with what is in the file', async () => {
  const data = squashfs(2);
  const { bytes, rootHash } = await treeOver(data);
  const image = Buffer.concat([data, bytes]);
  const signed = { comment, manifest, rootHash, verityOffset: data.length };
  await readPackage(await written(image, signatureYaml(signed, secret)), { keys });
  const otherManifest = signatureYaml({ ...signed, manifest: `${manifest}#` }, secret);
  await assert.rejects(readPackage(await written(image, otherManifest), { keys }), fault('hash', /manifest\.yaml/));
  const otherComment = written(image, signatureYaml(signed, secret), 'version: 0.9.3\n');
  await assert.rejects(readPackage(await otherComment, { keys }), fault('hash', /archive comment/));
  const otherRoot = signatureYaml({ ...signed, rootHash: createHash('sha256').digest('hex') }, secret);
  await assert.rejects(readPackage(await written(image, otherRoot), { keys }), fault('verity', /level 0/));
});

test('opening reads a few KiB, however big the image is', async () => {
  const asked = async (blocks: number): Promise<number> => {
    const data = squashfs(blocks);
    const { bytes, rootHash } = await treeOver(data);
    const signature = signatureYaml({ comment, manifest, rootHash, verityOffset: data.length }, secret);
    await using handle = await open(await written(Buffer.concat([data, bytes]), signature));
    const { size } = await handle.stat();
    const file = fileBytes(handle, size);
    let total = 0;
    const counted: Bytes = {
      size,
      at: (offset, length) => ((total += length), file.at(offset, length)),
      fetch: (offset, length) => ((total += Math.min(length, size - offset)), file.fetch(offset, length)),
    };
    await readContent(counted, keys);
    return total;
  };
  const [small, big] = [await asked(16), await asked(5000)];
  // The signature has the offset in digits.
  assert.ok(Math.abs(big - small) < 16, `${small} ${big}`);
  assert.ok(big < 64 * 1024, String(big));
});
