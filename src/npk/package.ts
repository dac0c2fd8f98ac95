// Reading a package: a few KiB of it, from the open file, without unpacking.
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { Manifest } from '../../state/manifest.ts';
import type { FileIdentity } from '../../state/observed.ts';
import { fileBytes, type Bytes } from './bytes.ts';
import { PackageError } from './error.ts';
import { formatOf } from './format.ts';
import { readSuperblock, type Image } from './image.ts';
import { LONGEST_MANIFEST, readManifest } from './manifest.ts';
import { locate, readArchive, readEntry, type Archive, type Entry } from './zip.ts';

export interface Package {
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** Version of the package format, "old" for packages from before 0.9. */
  readonly format: string;
  readonly manifest: Manifest;
  /** What of the older dialect the manifest uses. */
  readonly deprecations: readonly string[];
  readonly image: Image;
  readonly signed: boolean;
  readonly identity: FileIdentity;
}

/** The parts of a package that lie in its archive, checked against each other. */
export interface Content {
  readonly archive: Archive;
  readonly format: string;
  readonly manifest: { readonly bytes: Buffer; readonly read: Manifest; readonly deprecations: readonly string[] };
  readonly image: Image;
  readonly signature: Buffer | null;
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
export async function readPackage(path: string): Promise<Package> {
  const { package: content, handle } = await openPackage(path);
  await handle.close();
  return content;
}

/** Reads a package; the handle it was read through is the caller's to close. Throws a PackageError that names the file. */
export async function openPackage(path: string): Promise<{ package: Package; handle: FileHandle }> {
  const { handle, bytes, identity } = await openFile(path);
  try {
    const { format, manifest, image, signature } = await readContent(bytes);
    const { read, deprecations } = manifest;
    const { name, version } = read;
    const signed = signature !== null;
    return { package: { path, name, version, format, manifest: read, deprecations, image, signed, identity }, handle };
  } catch (error) {
    await handle.close();
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
    const stat = await handle.stat();
    if (!stat.isFile()) throw new PackageError('file', 'it is no regular file');
    const { dev, ino, size, mtimeMs, ctimeMs } = stat;
    return { handle, bytes: fileBytes(handle, size), identity: { dev, ino, size, mtimeMs, ctimeMs } };
  } catch (error) {
    await handle.close();
    throw named(path, error);
  }
}

/** The error with the file's name in front. */
export function named(path: string, error: unknown): PackageError {
  const reason = error instanceof PackageError ? error.reason : 'file';
  return new PackageError(reason, `${path}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}

/** Reads everything but the image's blocks. Throws a PackageError. */
export async function readContent(bytes: Bytes): Promise<Content> {
  if (bytes.size <= SMALL) await bytes.fetch(0, SMALL);
  const archive = await readArchive(bytes);
  await bytes.fetch(0, HEAD);
  const format = await formatOf(archive.comment);
  const signature = await readSignature(bytes, archive, format);
  const manifestBytes = await readEntry(bytes, archive, required(archive, 'manifest.yaml'), {
    most: LONGEST_MANIFEST,
    fault: 'manifest',
  });
  const { manifest, deprecations } = await readManifest(manifestBytes, { old: format === 'old' });
  const image = await readImage(bytes, archive);
  return { archive, format, manifest: { bytes: manifestBytes, read: manifest, deprecations }, image, signature };
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

async function readImage(bytes: Bytes, archive: Archive): Promise<Image> {
  const { offset, size } = await locate(bytes, archive, required(archive, 'fs.img'));
  if (size === 0) throw new PackageError('entry', 'fs.img is empty');
  if (offset % IMAGE_ALIGNMENT !== 0) {
    throw new PackageError(
      'entry',
      `fs.img starts at ${offset}, which is no multiple of ${IMAGE_ALIGNMENT}: no loop device can show it`,
    );
  }
  const { type, compression } = await readSuperblock(bytes, offset, size);
  return { offset, size, type, compression };
}

function required(archive: Archive, name: string): Entry {
  const entry = archive.entries.get(name);
  if (entry === undefined) throw new PackageError('entry', `it has no ${name}`);
  return entry;
}
