// Reading a package: a few KiB of it, from the open file, without unpacking.
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { Manifest } from '../../state/schema/manifest.ts';
import type { FileIdentity, HashTree } from '../../state/observed.ts';
import { fileBytes, type Bytes } from './archive/bytes.ts';
import { named, PackageError } from './package-error.ts';
import { formatOf } from './format.ts';
import { readSuperblock, type Image } from './image/superblock.ts';
import type { OutputLogs } from '../../state/observed.ts';
import type { PublicKey } from './signature/keys.ts';
import { LONGEST_MANIFEST, readManifest } from './manifest/read-manifest.ts';
import { compareHash, parseSignature, verifySignature, type Signature } from './signature/signature.ts';
import { signedTree } from './image/verity.ts';
import { checkTop } from './image/verify-image.ts';
import { locate, readArchive, readEntry, type Archive, type Entry } from './archive/zip.ts';

export interface Package {
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** Version of the package format, "old" for packages from before 0.9. */
  readonly format: string;
  readonly manifest: Manifest;
  /** What of the older dialect the manifest uses. */
  readonly deprecations: readonly string[];
  /** Fields of the manifest that have no effect, and such as cannot be; sentences. */
  readonly defects: readonly string[];
  /** What its older dialect says of the log. */
  readonly logs: OutputLogs;
  readonly image: Image;
  readonly signed: boolean;
  /** What was checked against a key; null when none was asked for. */
  readonly verified: Verified | null;
  readonly identity: FileIdentity;
}

/** What a key vouches for, beside comment and manifest. */
export interface Verified {
  readonly key: PublicKey;
  /** Its root hash is signed; the blocks below were not read. Attach no more of the image than its data blocks. */
  readonly tree: HashTree;
  /** SHA-256 of all of fs.img, hex, which only the older dialect signs. */
  readonly imageHash: string | null;
}

export interface ReadOptions {
  /** The keys one of which must have signed the package. Null or left out: nothing is checked, signed or not. */
  readonly keys?: readonly PublicKey[] | null | undefined;
}

/** The parts of a package that lie in its archive, checked against each other. */
export interface Content {
  readonly archive: Archive;
  readonly format: string;
  readonly manifest: {
    readonly bytes: Buffer;
    readonly read: Manifest;
    readonly deprecations: readonly string[];
    readonly defects: readonly string[];
    readonly logs: OutputLogs;
  };
  readonly image: Image;
  readonly signature: Buffer | null;
  readonly verified: Verified | null;
}

/** fs.img starts at a multiple of this, so that a loop device can show it. */
export const IMAGE_ALIGNMENT = 4096;

const LONGEST_SIGNATURE = 16 * 1024;
// A FIFO or a device that somebody put in a repository must not block or act when it is opened.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
// Where the small entries and the superblock nearly always are; below the other size one read does for everything.
const HEAD = 8192;
const SMALL = 32 * 1024;

/** Reads a package and closes the file. Throws a PackageError that names the file. */
export async function readPackage(path: string, options: ReadOptions = {}): Promise<Package> {
  const { package: content, handle } = await openPackage(path, options);
  await handle.close();
  return content;
}

/** Reads a package; the handle it was read through is the caller's to close. Throws a PackageError that names the file. */
export async function openPackage(
  path: string,
  options: ReadOptions = {},
): Promise<{ package: Package; handle: FileHandle }> {
  const { handle } = await openFile(path);
  try {
    return { package: await packageIn(handle, path, options), handle };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Reads the package in an open file, which stays open: a few KiB at positions of its own, whatever the package's size.
 * Whatever is checked is checked in this very file. `path` is what messages call it. Throws a PackageError.
 */
export async function packageIn(handle: FileHandle, path: string, { keys = null }: ReadOptions = {}): Promise<Package> {
  try {
    const { bytes, identity } = await contentOf(handle);
    const { format, manifest, image, signature, verified } = await readContent(bytes, keys);
    const { read, deprecations, defects, logs } = manifest;
    const { name, version } = read;
    const signed = signature !== null;
    const of = { name, version, format, manifest: read, deprecations, defects, logs };
    return { path, ...of, image, signed, verified, identity };
  } catch (error) {
    throw named(path, error);
  }
}

export interface OpenFile {
  readonly handle: FileHandle;
  readonly bytes: Bytes;
  readonly identity: FileIdentity;
}

/** Opens a regular file for reading. Throws a PackageError that names it. */
export async function openFile(path: string): Promise<OpenFile> {
  const handle = await open(path, OPEN_FLAGS).catch((error: unknown) => {
    throw named(path, error);
  });
  try {
    return { handle, ...(await contentOf(handle)) };
  } catch (error) {
    await handle.close();
    throw named(path, error);
  }
}

async function contentOf(handle: FileHandle): Promise<Omit<OpenFile, 'handle'>> {
  const stat = await handle.stat();
  if (!stat.isFile()) throw new PackageError('file', 'it is no regular file');
  const { dev, ino, size, mtimeMs, ctimeMs } = stat;
  return { bytes: fileBytes(handle, size), identity: { dev, ino, size, mtimeMs, ctimeMs } };
}

/** Reads everything but the image's blocks; with keys, everything that it gives is signed by one. Throws a PackageError. */
export async function readContent(bytes: Bytes, keys: readonly PublicKey[] | null): Promise<Content> {
  if (bytes.size <= SMALL) await bytes.fetch(0, SMALL);
  const archive = await readArchive(bytes);
  await bytes.fetch(0, HEAD);
  const format = await formatOf(archive.comment);
  const signature = await readSignature(bytes, archive, format);
  const signed = keys === null ? null : await judge(archive, format, signature, keys);
  const manifestBytes = await readEntry(bytes, archive, required(archive, 'manifest.yaml'), {
    most: LONGEST_MANIFEST,
    fault: 'manifest',
  });
  if (signed !== null) compareHash('manifest.yaml', manifestBytes, signed.signature.hashes.manifest);
  const { manifest, deprecations, defects, logs } = await readManifest(manifestBytes, { old: format === 'old' });
  const { image, used } = await readImage(bytes, archive);
  const verified = signed === null ? null : await readTree(bytes, image, used, signed);
  return {
    archive,
    format,
    manifest: {
      bytes: manifestBytes,
      read: manifest,
      deprecations,
      defects: [...defects.unknown, ...defects.limits].map(({ field, message }) => `${field}: ${message}`),
      logs,
    },
    image,
    signature,
    verified,
  };
}

/** Where a package's image lies in its file, and the tree over it, which nobody has vouched for. */
export interface Layout {
  readonly image: Image;
  /** Null when the package is not signed. */
  readonly tree: HashTree | null;
}

/** What a package says of its own blocks. Whatever follows from it is checked again when the package is whole. Throws a PackageError. */
export async function readLayout(bytes: Bytes): Promise<Layout> {
  if (bytes.size <= SMALL) await bytes.fetch(0, SMALL);
  const archive = await readArchive(bytes);
  await bytes.fetch(0, HEAD);
  const signature = await readSignature(bytes, archive, await formatOf(archive.comment));
  const { image } = await readImage(bytes, archive);
  if (signature === null) return { image, tree: null };
  const tree = await signedTree(bytes, image, (await parseSignature(signature)).verity);
  await checkTop(bytes, image, tree);
  return { image, tree };
}

interface Signed {
  readonly key: PublicKey;
  readonly signature: Signature;
}

/** Checks signature and comment. */
async function judge(
  archive: Archive,
  format: string,
  bytes: Buffer | null,
  keys: readonly PublicKey[],
): Promise<Signed> {
  if (bytes === null) throw new PackageError('signature', 'it is not signed, and a key is asked for');
  const signed = await verifySignature(bytes, keys);
  const { comment } = signed.signature.hashes;
  // Without it the package could be given another version of the format; only the older one had none.
  if (comment === null && format !== 'old')
    throw new PackageError('signature', 'the signature does not cover the archive comment');
  if (comment !== null) compareHash('the archive comment', archive.comment, comment);
  return signed;
}

/** The tree over the image. A file system that the tree does not cover whole is refused. */
async function readTree(bytes: Bytes, image: Image, used: number, { key, signature }: Signed): Promise<Verified> {
  const tree = await signedTree(bytes, image, signature.verity);
  if (used > tree.superblockOffset) {
    throw new PackageError(
      'verity',
      `the file system has ${used} bytes, of which only ${tree.superblockOffset} are signed`,
    );
  }
  await checkTop(bytes, image, tree);
  return { key, tree, imageHash: signature.hashes.image };
}

async function readSignature(bytes: Bytes, archive: Archive, format: string): Promise<Buffer | null> {
  const entry = archive.entries.get('signature.yaml');
  if (entry === undefined) return null;
  const signature = await readEntry(bytes, archive, entry, { most: LONGEST_SIGNATURE, fault: 'signature' });
  // A signature that covers the comment belongs to a package that has one: somebody took it away.
  if (format === 'old' && /^meta:/m.test(signature.toString('latin1'))) {
    throw new PackageError('format-version', 'the archive comment is missing, though the signature covers it');
  }
  return signature;
}

async function readImage(bytes: Bytes, archive: Archive): Promise<{ image: Image; used: number }> {
  const { offset, size } = await locate(bytes, archive, required(archive, 'fs.img'));
  if (size === 0) throw new PackageError('entry', 'fs.img is empty');
  if (offset % IMAGE_ALIGNMENT !== 0) {
    throw new PackageError(
      'entry',
      `fs.img starts at ${offset}, which is no multiple of ${IMAGE_ALIGNMENT}: no loop device can show it`,
    );
  }
  const { type, compression, used } = await readSuperblock(bytes, offset, size);
  return { image: { offset, size, type, compression }, used };
}

function required(archive: Archive, name: string): Entry {
  const entry = archive.entries.get(name);
  if (entry === undefined) throw new PackageError('entry', `it has no ${name}`);
  return entry;
}
