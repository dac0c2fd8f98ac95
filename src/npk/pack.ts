// Packing: a manifest and a directory, or an image that is there already, become a package.
import { constants, copyFile, mkdtemp, open, rm, stat, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Manifest } from '../../state/schema/manifest.ts';
import { fileBytes } from './archive/bytes.ts';
import { checkedSalt, checkedUuid, derivedSalt, derivedUuid } from './signature/derived.ts';
import type { ManifestIssue } from './package-error.ts';
import { createHasher } from './image/hasher.ts';
import { readSuperblock } from './image/superblock.ts';
import { readSecretKey } from './signature/keys.ts';
import { makeErofs, makeSquashfs, type Compression } from './image/make-image.ts';
import { readManifestSource, type ManifestSource } from './manifest/manifest-source.ts';
import { manifestYaml } from './manifest/manifest-yaml.ts';
import { mountPoints } from './image/mount-points.ts';
import { stageRoot, type Addition } from './image/root-directory.ts';
import { VERITY_BLOCK } from './image/verity.ts';
import { hostArchitecture, type Architecture } from './program/architecture.ts';
import { initProblems } from './program/init.ts';
import { writePackage } from './archive/write-package.ts';
import { makeTree, type NewTree } from './image/write-verity.ts';
import { chunks } from './archive/zip-writer.ts';

export interface PackOptions extends ManifestSource {
  /** The directory that becomes the image; null or left out = an empty one. */
  readonly root?: string | null | undefined;
  /** Further files for the image. */
  readonly additions?: readonly Addition[] | undefined;
  /** What the device has, to compare programs with; null = not compared, left out = what this machine has. */
  readonly architecture?: Architecture | null | undefined;
  /** An image to take as it is, instead of making one of `root`. */
  readonly image?: string | undefined;
  /** A directory, which gets NAME-VERSION.npk, or the file to write. */
  readonly out: string;
  /** File of the secret key to sign with; left out = an unsigned package. */
  readonly key?: string | undefined;
  readonly fs?: 'squashfs' | 'erofs' | undefined;
  /** Default: gzip for squashfs, none for erofs. */
  readonly compression?: Compression | undefined;
  /** Of squashfs, in bytes. */
  readonly blockSize?: number | undefined;
  /** Of erofs: files are laid out so that updates by blocks find most of them again; the image grows where files are small. */
  readonly aligned?: boolean | undefined;
  /** Of dm-verity, hex; left out = derived from the container's name, so that the trees of two versions can be compared. */
  readonly salt?: string | undefined;
  /** Of dm-verity and erofs; left out = derived from the image, and from the manifest for erofs. */
  readonly uuid?: string | undefined;
  /** The program that makes the image; left out = mksquashfs or mkfs.erofs in the path. */
  readonly tool?: string | undefined;
  /** Called with the step and the part of it that is done, 0 to 1. */
  readonly onProgress?: ((step: PackStep, part: number) => void) | undefined;
}

export type PackStep = 'image' | 'hash tree' | 'package';

export interface Packed {
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** What of the older dialect the manifest used; the package is written in today's. */
  readonly deprecations: readonly string[];
  /**
   * System calls that this machine's architecture does not have, unknown fields, and what keeps the init from being started;
   * with line and column.
   */
  readonly warnings: readonly ManifestIssue[];
}

/**
 * Makes a package. The same input gives the same bytes: all times are SOURCE_DATE_EPOCH, else 0. The file appears when it
 * is complete. Rejects with a PackageError for a bad manifest, else with what failed.
 */
export async function pack(options: PackOptions): Promise<Packed> {
  const [packed] = await packAll(options, ({ name }) => [name]);
  if (packed === undefined) throw new Error('nothing was packed');
  return packed;
}

/** Makes packages NAME-0 and so on, numbers with as many digits as the last one has, around one image. `out` is a directory. */
export async function packClones(options: PackOptions, count: number): Promise<Packed[]> {
  const digits = String(count - 1).length;
  return packAll(options, ({ name }) =>
    Array.from({ length: count }, (_, index) => `${name}-${String(index).padStart(digits, '0')}`),
  );
}

async function packAll(options: PackOptions, namesOf: (manifest: Manifest) => readonly string[]): Promise<Packed[]> {
  const { manifest, deprecations, warnings, issueAt } = await readManifestSource(options);
  const key = options.key === undefined ? null : await readSecretKey(options.key);
  const names = namesOf(manifest);
  const isDirectory = await leadsToDirectory(options.out);
  if (names.length > 1 && !isDirectory) throw new Error(`${options.out} is no directory, which several packages need`);
  const work = await mkdtemp(join(tmpdir(), 'northstate-pack-'));
  try {
    const file = join(work, 'fs.img');
    const problems = options.image === undefined ? await makeImage(file, manifest, options, work) : [];
    if (options.image !== undefined) await copyFile(options.image, file, constants.COPYFILE_FICLONE);
    await using handle = await open(file, 'r+');
    const size = await pad(handle);
    const tree = key === null ? null : await treeOf(handle, size, manifest.name, options);
    const told = [...warnings, ...problems.map((problem) => issueAt(['init'], problem))];
    const packed: Packed[] = [];
    for (const name of names) {
      const path = isDirectory ? join(options.out, `${name}-${manifest.version}.npk`) : options.out;
      const parts = { manifest: { ...manifest, name }, image: { handle, size }, tree, key };
      await writePackage(path, parts, (part) => options.onProgress?.('package', part));
      packed.push({ path, name, version: manifest.version, deprecations, warnings: told });
    }
    return packed;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function leadsToDirectory(out: string): Promise<boolean> {
  return stat(out).then(
    (found) => found.isDirectory(),
    () => out.endsWith('/'),
  );
}

/** Gives what keeps the init from being started in it. */
async function makeImage(file: string, manifest: Manifest, options: PackOptions, work: string): Promise<string[]> {
  const { fs, compression, blockSize, aligned, uuid, tool, onProgress, architecture = hostArchitecture } = options;
  const root = await rootOf(options, work);
  const make = fs === 'erofs' ? makeErofs : makeSquashfs;
  await make(file, {
    root,
    uid: manifest.uid,
    gid: manifest.gid,
    points: mountPoints(manifest),
    compression,
    blockSize,
    aligned,
    time: sourceDate(),
    uuid: uuid === undefined ? derivedUuid(manifestYaml(manifest)) : checkedUuid(uuid),
    work,
    tool,
    onProgress: (part) => onProgress?.('image', part),
  });
  return await initProblems(manifest, { root, architecture, source: options.root ?? null });
}

/** The directory that becomes the image, as an absolute path; null = none. */
async function rootOf({ root = null, additions = [] }: PackOptions, work: string): Promise<string | null> {
  const given = root === null ? null : resolve(root);
  if (additions.length === 0) return given;
  const staged = join(work, 'root');
  await stageRoot(staged, given, additions);
  return staged;
}

/** Seconds since the epoch (https://reproducible-builds.org/specs/source-date-epoch/). */
function sourceDate(): number {
  const given = process.env['SOURCE_DATE_EPOCH'] ?? '0';
  const time = Number(given);
  if (!/^\d+$/.test(given) || time > 0xffffffff)
    throw new Error(`SOURCE_DATE_EPOCH is "${given}": expected seconds since the epoch`);
  return time;
}

/** Makes an image as long as its file system, in whole blocks; what somebody appended is no part of it. Gives the length. */
async function pad(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const { used } = await readSuperblock(fileBytes(handle, size), 0, size);
  const padded = Math.ceil(used / VERITY_BLOCK) * VERITY_BLOCK;
  await handle.truncate(used);
  await handle.truncate(padded);
  return padded;
}

async function treeOf(
  handle: FileHandle,
  size: number,
  name: string,
  { salt, uuid, onProgress }: PackOptions,
): Promise<NewTree> {
  let crc = 0;
  for await (const chunk of chunks({ handle, size })) crc = crc32(chunk, crc);
  await using hasher = createHasher();
  return await makeTree(handle, size / VERITY_BLOCK, {
    salt: salt === undefined ? derivedSalt(name) : checkedSalt(salt),
    uuid: uuid === undefined ? derivedUuid(size, crc) : checkedUuid(uuid),
    hasher,
    onProgress: (bytes) => onProgress?.('hash tree', bytes / size),
  });
}
