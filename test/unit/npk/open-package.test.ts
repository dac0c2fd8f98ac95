import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inspect, inspectJson, inspectShort, inspectText } from '../../../src/npk/inspect-package.ts';
import { openPackage, readPackage } from '../../../src/npk/open-package.ts';
import { archive, extraField, type Part } from './archives.ts';

const manifest = 'name: a\nversion: 1.0.0\ninit: /a\nuid: 1\ngid: 1\n';

/** A squashfs superblock and nothing else, padded as mksquashfs does. */
function squashfs(change: (superblock: Buffer) => void = () => undefined): Buffer {
  const image = Buffer.alloc(4096);
  image.write('hsqs', 0);
  image.writeUInt32LE(131072, 12);
  image.writeUInt16LE(1, 20);
  image.writeUInt16LE(17, 22);
  image.writeUInt16LE(4, 28);
  image.writeBigUInt64LE(200n, 40);
  change(image);
  return image;
}

function erofs(change: (superblock: Buffer) => void = () => undefined): Buffer {
  const image = Buffer.alloc(8192);
  image.writeUInt32LE(0xe0f5e1e2, 1024);
  image.writeUInt8(12, 1024 + 12);
  image.writeUInt32LE(2, 1024 + 36);
  change(image.subarray(1024));
  return image;
}

/** The image as an entry that starts on a block boundary when it follows these. */
function aligned(data: Buffer, before: readonly Part[]): Part {
  const local = before.reduce((sum, part) => sum + 30 + part.name.length + Buffer.byteLength(part.data), 0);
  return { name: 'fs.img', data, extra: extraField(0xa11e, Buffer.alloc(4096 - local - 30 - 6 - 4)) };
}

let work = '';
before(async () => (work = await mkdtemp(join(tmpdir(), 'northstate-package-'))));
after(() => rm(work, { recursive: true }));

async function file(bytes: Buffer): Promise<string> {
  const path = join(work, 'a.npk');
  await writeFile(path, bytes);
  return path;
}

async function withImage(image: Buffer, comment?: string, signature?: string): Promise<string> {
  const small: Part[] = [{ name: 'manifest.yaml', data: manifest }];
  if (signature !== undefined) small.push({ name: 'signature.yaml', data: signature });
  return file(archive([...small, aligned(image, small)], comment));
}

const descriptors = async (): Promise<number> => (await readdir('/proc/self/fd')).length;

test('a package tells where its image is and which file it was', async () => {
  const path = await withImage(squashfs());
  const found = await readPackage(path);
  const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path);
  assert.deepEqual(found.identity, { dev, ino, size, mtimeMs, ctimeMs });
  assert.deepEqual(found.image, { offset: 4096, size: 4096, type: 'squashfs', compression: 'gzip' });
  assert.deepEqual(
    [found.path, found.name, found.version, found.format, found.signed],
    [path, 'a', '1.0.0', '0.9.2', false],
  );
});

test('the handle through which a package was read is given to the caller', async () => {
  const { package: found, handle } = await openPackage(await withImage(squashfs()));
  assert.equal((await handle.stat()).ino, found.identity.ino);
  await handle.close();
});

test('the kind of an image is told by its magic', async () => {
  const image = async (bytes: Buffer): Promise<unknown> => (await readPackage(await withImage(bytes))).image;
  assert.deepEqual(await image(erofs()), { offset: 4096, size: 8192, type: 'erofs', compression: 'none' });
  const lz4 = erofs((superblock) => superblock.writeUInt32LE(1, 80));
  assert.deepEqual(await image(lz4), { offset: 4096, size: 8192, type: 'erofs', compression: 'lz4' });
  const several = erofs((superblock) => {
    superblock.writeUInt32LE(3, 80);
    superblock.writeUInt16LE(0b1001, 84);
  });
  assert.deepEqual(await image(several), { offset: 4096, size: 8192, type: 'erofs', compression: 'lz4+zstd' });
});

test('the format is that of the comment', async () => {
  const format = async (comment: string): Promise<string> =>
    (await readPackage(await withImage(squashfs(), comment))).format;
  assert.equal(await format('version: 0.10.1-pre\nmood: good\n'), '0.10.1');
  assert.equal(await format('{"version": "1.0.0"}'), '1.0.0');
  assert.equal(await format('npk_version: 0.0.3'), 'old');
  assert.equal(await format(''), 'old');
});

const refused: Record<string, [() => Promise<string>, string, RegExp]> = {
  'a file that is not there': [async () => join(work, 'none'), 'file', /none: ENOENT/],
  'a directory': [async () => work, 'file', /no regular file/],
  'a device': [async () => '/dev/null', 'file', /no regular file/],
  'an image of an unknown kind': [() => withImage(Buffer.alloc(4096)), 'image', /neither a squashfs nor an erofs/],
  'an image too short for a superblock': [() => withImage(Buffer.from('hsqs')), 'image', /neither a squashfs/],
  'a squashfs of another version': [
    () => withImage(squashfs((block) => block.writeUInt16LE(3, 28))),
    'image',
    /version 4\.0/,
  ],
  'a squashfs that contradicts itself': [
    () => withImage(squashfs((block) => block.writeUInt16LE(12, 22))),
    'image',
    /contradicts/,
  ],
  'a squashfs that is cut off': [
    () => withImage(squashfs((block) => block.writeBigUInt64LE(4097n, 40))),
    'image',
    /cut off/,
  ],
  'an erofs that is cut off': [() => withImage(erofs((block) => block.writeUInt32LE(3, 36))), 'image', /cut off/],
  'an erofs with impossible blocks': [() => withImage(erofs((block) => block.writeUInt8(40, 12))), 'image', /2\^40/],
  'an image that no loop device can show': [
    () =>
      file(
        archive([
          { name: 'manifest.yaml', data: manifest },
          { name: 'fs.img', data: squashfs() },
        ]),
      ),
    'entry',
    /no multiple of 4096/,
  ],
  'a package without an image': [
    () => file(archive([{ name: 'manifest.yaml', data: manifest }])),
    'entry',
    /has no fs\.img/,
  ],
  'a package without a manifest': [() => file(archive([])), 'entry', /has no manifest\.yaml/],
  'an old format version': [() => withImage(squashfs(), 'version: 0.8.9\n'), 'format-version', /0\.8\.9/],
  'a comment that is none': [() => withImage(squashfs(), '[1]'), 'format-version', /names no format version/],
  'a comment too long to read': [() => withImage(squashfs(), 'x'.repeat(5000)), 'format-version', /too long/],
  'a comment that was taken away': [
    () => withImage(squashfs(), '', 'meta:\n  hash: x\n'),
    'format-version',
    /comment is missing/,
  ],
};

for (const [what, [make, reason, message]] of Object.entries(refused)) {
  test(`${what} is refused, with the file's name and no descriptor left open`, async () => {
    const path = await make();
    const open = await descriptors();
    await assert.rejects(readPackage(path), (error: Error & { reason?: string }) => {
      assert.deepEqual([error.name, error.reason], ['PackageError', reason]);
      assert.ok(error.message.startsWith(`${path}: `), error.message);
      assert.match(error.message, message);
      return true;
    });
    assert.equal(await descriptors(), open);
  });
}

test('inspect shows a package as one line, as text and as JSON', async () => {
  const found = await inspect(await withImage(squashfs()));
  assert.equal(inspectShort(found), 'name: a, version: 1.0.0, NPK version: 0.9.2, resource container: no');
  assert.match(inspectText(found), /\n## manifest\.yaml\nname: a\n/);
  const {
    archive: file,
    manifest: fields,
    image,
    signature,
    verity,
  } = JSON.parse(JSON.stringify(inspectJson(found))) as Record<string, unknown>;
  assert.deepEqual(file, {
    size: found.archive.size,
    format: '0.9.2',
    comment: 'version: 0.9.2\n',
    entries: ['manifest.yaml', 'fs.img'],
  });
  assert.deepEqual(fields, { name: 'a', version: '1.0.0', init: '/a', uid: 1, gid: 1 });
  assert.deepEqual(image, { offset: 4096, size: 4096, type: 'squashfs', compression: 'gzip' });
  assert.deepEqual([signature, verity], [null, null]);
});

test('inspect shows what is wrong with a signature or a verity superblock', async () => {
  const superblock = Buffer.alloc(4096);
  superblock.write('verity\0\0', 0, 'latin1');
  superblock.writeUInt16LE(0xffff, 80);
  const found = await inspect(
    await withImage(Buffer.concat([squashfs(), superblock]), undefined, 'meta:\n  hash: x\n'),
  );
  assert.deepEqual(found.signature, { error: 'signature.yaml is malformed: it has no second document' });
  assert.deepEqual(found.verity, { error: 'dm-verity: the superblock has a salt of 65535 bytes' });
});

test('a package cannot command a terminal', async () => {
  const found = await inspect(await withImage(squashfs(), undefined, '\x1b]0;title\x07\u202e'));
  assert.doesNotMatch(inspectText(found), /[\x00-\x08\x0b-\x1f\x7f\u202e]/);
});
