// Unpacking: manifest.yaml, signature.yaml and the files of the image, for people who look into a package.
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { createHasher } from './image/hasher.ts';
import type { Image } from './image/superblock.ts';
import type { PublicKey } from './signature/keys.ts';
import { openFile, readContent } from './open-package.ts';
import { named } from './package-error.ts';
import { runTool } from './image/tool.ts';
import { verifyImage, type VerifyOptions } from './image/verify-image.ts';
import { hasErrno } from '../../state/errno.ts';

export interface UnpackOptions {
  /** A directory that is empty or not there; it appears when everything is in it. */
  readonly out: string;
  /** When given, nothing is unpacked before signature and every block were verified. */
  readonly keys?: readonly PublicKey[] | null | undefined;
  /** The programs that do it; left out = unsquashfs and fsck.erofs in the path. */
  readonly unsquashfs?: string | undefined;
  readonly fsckErofs?: string | undefined;
  /** Called with the bytes that are verified so far, and how many there are. */
  readonly onProgress?: VerifyOptions['onProgress'];
}

// Device nodes are for root only: unsquashfs then ends with this code.
const UNSQUASHFS_NOT_ALL = 2;

/**
 * Unpacks a package with unsquashfs or fsck.erofs (the latter from 1.5 on). Gives what the program left out, as it says it.
 * Rejects with a PackageError for a bad package, else with what failed; then nothing was written.
 */
export async function unpack(path: string, options: UnpackOptions): Promise<string[]> {
  const { out, keys = null, onProgress } = options;
  const target = resolve(out);
  await refuseFull(target);
  const { handle, bytes } = await openFile(path);
  const work = join(dirname(target), `.${basename(target)}.${randomUUID()}`);
  try {
    const { manifest, signature, image, verified } = await readContent(bytes, keys).catch((error: unknown) => {
      throw named(path, error);
    });
    if (verified !== null) {
      await using hasher = createHasher();
      await verifyImage(handle, image, verified.tree, { hasher, onProgress });
    }
    await mkdir(work);
    await writeFile(join(work, 'manifest.yaml'), manifest.bytes);
    if (signature !== null) await writeFile(join(work, 'signature.yaml'), signature);
    const said = await unpackImage(handle, image, work, options);
    await rename(work, target);
    return said.split('\n').filter((line) => line !== '');
  } finally {
    await handle.close();
    await rm(work, { recursive: true, force: true });
  }
}

async function refuseFull(target: string): Promise<void> {
  const content = await readdir(target).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  });
  if (content.length > 0) throw new Error(`${target} is not empty: unpacking never overwrites`);
}

/** The programs read the very file that was verified: it is their descriptor 3. */
async function unpackImage(
  handle: FileHandle,
  image: Image,
  work: string,
  { unsquashfs = 'unsquashfs', fsckErofs = 'fsck.erofs' }: UnpackOptions,
): Promise<string> {
  const root = join(work, 'root');
  if (image.type === 'squashfs') {
    const args = ['-quiet', '-no-progress', '-offset', String(image.offset), '-dest', root, '/proc/self/fd/3'];
    const tolerated = process.geteuid?.() === 0 ? [] : [UNSQUASHFS_NOT_ALL];
    return (await runTool(unsquashfs, args, { descriptor: handle.fd, tolerated })).stderr;
  }
  const file = join(work, 'fs.img');
  await copyRange(handle, image, file);
  const { stderr } = await runTool(fsckErofs, [`--extract=${root}`, file]);
  await rm(file);
  return stderr;
}

/** fsck.erofs knows no offset. */
async function copyRange(handle: FileHandle, { offset, size }: Image, file: string): Promise<void> {
  await using out = await open(file, 'wx');
  const source = handle.createReadStream({ start: offset, end: offset + size - 1, autoClose: false });
  await out.writeFile(source);
}
