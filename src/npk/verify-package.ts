// Checking everything about a package: what `northstate verify` says.
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { named, PackageError } from './package-error.ts';
import type { Image } from './image/superblock.ts';
import type { PublicKey } from './signature/keys.ts';
import { openFile, readContent } from './open-package.ts';
import { verifyImage, type VerifyOptions } from './image/verify-image.ts';

export interface VerifyPackageOptions extends VerifyOptions {
  /** Null: the signature cannot be judged, nor what it vouches for. */
  readonly keys: readonly PublicKey[] | null;
}

export interface Verification {
  readonly name: string;
  readonly version: string;
  readonly format: string;
  readonly signed: boolean;
  /** Of the key that signed it; null when none was given. */
  readonly key: string | null;
  /** What every block was compared with; null without a key. */
  readonly verity: { readonly rootHash: string; readonly dataBlocks: number } | null;
}

const CHUNK = 1024 * 1024;

/**
 * Reads a package from end to end: archive, checksums, manifest, superblock; with keys also signature, hashes and every
 * block. Rejects with a PackageError for the first fault, named by its reason.
 */
export async function verifyPackage(path: string, { keys, ...options }: VerifyPackageOptions): Promise<Verification> {
  const { handle, bytes } = await openFile(path);
  try {
    const { format, manifest, archive, image, signature, verified } = await readContent(bytes, keys);
    if (verified !== null) await verifyImage(handle, image, verified.tree, options);
    const imageHash = verified?.imageHash ?? null;
    const { crc, sha256 } = await sumsOf(handle, image, imageHash !== null, options.signal);
    if (sha256 !== imageHash) {
      throw new PackageError('image', 'fs.img is not the one that was signed');
    }
    if (crc !== archive.entries.get('fs.img')?.crc) {
      throw new PackageError('archive', 'the archive is broken: the checksum of fs.img is wrong');
    }
    const { name, version } = manifest.read;
    const verity = verified && { rootHash: verified.tree.rootHash, dataBlocks: verified.tree.dataBlocks };
    return { name, version, format, signed: signature !== null, key: verified?.key.id ?? null, verity };
  } catch (error) {
    throw error instanceof PackageError ? named(path, error) : error;
  } finally {
    await handle.close();
  }
}

/** CRC-32 of the whole image, and SHA-256 where it is needed. */
async function sumsOf(
  handle: FileHandle,
  { offset, size }: Image,
  withHash: boolean,
  signal: AbortSignal | undefined,
): Promise<{ crc: number; sha256: string | null }> {
  const hash = withHash ? createHash('sha256') : null;
  const buffer = Buffer.allocUnsafe(CHUNK);
  let crc = 0;
  for (let at = 0; at < size;) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(CHUNK, size - at), offset + at);
    if (bytesRead === 0) throw new PackageError('archive', 'the file became shorter while it was read');
    const chunk = buffer.subarray(0, bytesRead);
    crc = crc32(chunk, crc);
    hash?.update(chunk);
    at += bytesRead;
  }
  return { crc, sha256: hash?.digest('hex') ?? null };
}
