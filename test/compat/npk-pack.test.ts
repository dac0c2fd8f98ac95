// What pack makes of the manifests and files of Northstar's packages: read by other tools, and equal to Northstar's in
// everything that the format fixes.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { createHasher } from '../../src/npk/image/hasher.ts';
import { inspect } from '../../src/npk/inspect-package.ts';
import { readKeys } from '../../src/npk/signature/keys.ts';
import { compressions } from '../../src/npk/image/make-image.ts';
import { pack, type PackOptions } from '../../src/npk/pack.ts';
import { readPackage } from '../../src/npk/open-package.ts';
import { unpack } from '../../src/npk/unpack.ts';
import { verifyPackage } from '../../src/npk/verify-package.ts';
import { assertManifest, expected, fixture, refused } from './npk-fixtures.ts';

interface Expected {
  readonly squashfs: {
    readonly compression: (typeof compressions)[number];
    readonly block_size: number;
    readonly inodes: number;
    readonly uncompressed: boolean;
  };
  readonly verity?: { readonly salt: string; readonly uuid: string };
  readonly files: readonly string[];
  readonly inspect: unknown;
}

// Rejects unless the program ends with 0.
const run = promisify(execFile);
const answers = Object.entries(expected('npk.json') as Readonly<Record<string, Expected>>);
const secret = fixture('keys/fixture.key');
const shared = fixture('keys/fixture.pub');
const hasher = createHasher(1);
let work = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-pack-compat-'));
});
after(async () => {
  await hasher.close();
  await rm(work, { recursive: true });
});

/** The image of a package, as a file. */
async function imageOf(path: string): Promise<{ readonly file: string; readonly bytes: Buffer }> {
  const { image } = await readPackage(path);
  const bytes = (await readFile(path)).subarray(image.offset, image.offset + image.size);
  const file = join(work, 'fs.img');
  await writeFile(file, bytes);
  return { file, bytes };
}

/** Whatever a signed or unsigned package must be to others. */
async function assertReadByOthers(path: string): Promise<void> {
  await run('unzip', ['-tqq', path]);
  const { file } = await imageOf(path);
  const { image, signature } = await inspect(path);
  if (image.type === 'squashfs') await run('unsquashfs', ['-lln', file]);
  else await run('fsck.erofs', [file]);
  if (signature === null) return;
  assert.ok('hashes' in signature);
  const { rootHash, offset } = signature.verity;
  await run('veritysetup', ['verify', file, file, rootHash, `--hash-offset=${offset}`]);
}

/** A directory with the files of a package, without its mount points and nodes, and its manifest beside. */
async function sourceOf(path: string): Promise<{ readonly root: string; readonly manifest: string }> {
  const out = join(work, 'source');
  await rm(out, { recursive: true, force: true });
  await unpack(path, { out });
  const { manifest } = await readPackage(path);
  for (const [target, { type }] of manifest.mounts ?? []) {
    const point = join(out, 'root', target);
    if (type === 'dev') await rm(point, { recursive: true });
    else await rmdir(point);
    await rmdir(dirname(point)).catch(() => undefined);
  }
  await mkdir(join(out, 'root'), { recursive: true });
  return { root: join(out, 'root'), manifest: join(out, 'manifest.yaml') };
}

/** As the fixtures list files: without times, and without sizes of directories. */
async function files(path: string): Promise<string[]> {
  const { file } = await imageOf(path);
  const { stdout } = await run('unsquashfs', ['-lln', file]);
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [, mode = '', owner = '', size = '', name = ''] =
        /^(\S+) (\S+) +(\d+(?:, *\d+)?) \d{4}-\d\d-\d\d \d\d:\d\d squashfs-root(.*)$/.exec(line) ?? [];
      return [mode, owner, ...(mode.startsWith('d') ? [] : [size]), name].join(' ');
    });
}

function plain(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/, +/, ',')).sort();
}

for (const [name, { squashfs, verity, files: wantedFiles, inspect: wantedManifest }] of answers) {
  if (refused.has(basename(name, '-1.0.0.npk'))) continue;
  test(`${name}, packed anew, is what Northstar packs`, async () => {
    const { root, manifest } = await sourceOf(fixture(name));
    const compression = squashfs.uncompressed ? 'none' : squashfs.compression;
    const signing = verity === undefined ? {} : { key: secret };
    const options: PackOptions = { manifest, root, out: join(work, 'out.npk'), compression, ...signing };
    const { path } = await pack({ ...options, blockSize: squashfs.block_size });

    await assertReadByOthers(path);
    const theirs = await inspect(fixture(name));
    const ours = await inspect(path);
    assertManifest(ours.manifest, wantedManifest);
    assert.deepEqual(ours.archive.entries, theirs.archive.entries);
    assert.deepEqual(
      [ours.image.type, ours.image.compression, ours.image.offset % 4096],
      [theirs.image.type, theirs.image.compression, theirs.image.offset % 4096],
    );
    const superblock = (await imageOf(path)).bytes;
    assert.deepEqual([superblock.readUInt32LE(4), superblock.readUInt32LE(12)], [squashfs.inodes, squashfs.block_size]);
    assert.deepEqual(plain(await files(path)), plain(wantedFiles));
    const keys = verity === undefined ? null : await readKeys(shared);
    await verifyPackage(path, { keys, hasher });
  });

  if (verity === undefined) continue;
  test(`${name}: of the same image, salt and UUID comes the same fs.img, byte by byte`, async () => {
    const { file, bytes } = await imageOf(fixture(name));
    const { manifest } = await sourceOf(fixture(name));
    const uuid = verity.uuid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    const out = join(work, 'out.npk');
    await writeFile(file, bytes);
    await pack({ manifest, image: file, out, key: secret, salt: verity.salt, uuid });
    assert.ok((await imageOf(out)).bytes.equals(bytes));
  });
}

test('what is packed by other means than the defaults is read by others, too', async () => {
  const { root, manifest } = await sourceOf(fixture('npk/full.house_1-a-1.22.333.npk'));
  const out = join(work, 'out.npk');
  for (const compression of compressions) {
    const { path } = await pack({ manifest, root, out, compression, key: secret });
    await assertReadByOthers(path);
  }
  for (const compression of ['none', 'lz4'] as const) {
    const { path } = await pack({ manifest, root, out, compression, key: secret, fs: 'erofs' });
    await assertReadByOthers(path);
  }
});
