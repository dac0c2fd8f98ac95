// Making a delta file, on a build machine: both images are held in memory.
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, zstdCompress, type ZstdOptions } from 'node:zlib';
import { VERITY_BLOCK } from '../../npk/image/verity.ts';
import { openFile, readLayout } from '../../npk/open-package.ts';
import { PackageError } from '../../npk/package-error.ts';
import { readFrom } from '../../npk/image/verify-image.ts';
import { deltaName, partSize, windowLog, writeHeader, type DeltaHeader } from './delta-format.ts';
import { similarRanges } from './similar-range.ts';

const compress = promisify(
  zstdCompress as (data: Buffer, options: ZstdOptions, done: (error: Error | null, result: Buffer) => void) => void,
);

export interface MadeDelta {
  readonly path: string;
  /** Of the file, and of the new package, in bytes. */
  readonly size: number;
  readonly of: number;
}

interface SignedImage {
  readonly rootHash: string;
  readonly data: Buffer;
  /** Of the whole package. */
  readonly size: number;
}

/**
 * Writes the delta that leads from one package to another into a directory, under the name that a device asks for. Both must be
 * signed: their trees say which images they are. Rejects with a PackageError, or with what reading and writing give.
 */
export async function makeDelta(
  oldPath: string,
  newPath: string,
  { out, onProgress }: { readonly out: string; readonly onProgress?: (part: number) => void },
): Promise<MadeDelta> {
  const [old, next] = [await readImage(oldPath), await readImage(newPath)];
  const similar = similarRanges(old.data);
  const parts: DeltaHeader['parts'] = [];
  const frames: Buffer[] = [];
  for (let at = 0; at < next.data.length; at += partSize) {
    const part = next.data.subarray(at, at + partSize);
    const { from, length } = similar.rangeFor(part, at);
    const frame = await compress(part, optionsFor(part, old.data.subarray(from, from + length)));
    parts.push([from, length, frame.length]);
    frames.push(frame);
    onProgress?.(Math.min(1, (at + partSize) / next.data.length));
  }
  const header = writeHeader({ version: 1, old: old.rootHash, new: next.rootHash, size: next.data.length, parts });
  const path = join(out, deltaName(old.rootHash, next.rootHash));
  await write(path, [header, ...frames]);
  const size = frames.reduce((sum, frame) => sum + frame.length, header.length);
  return { path, size, of: next.size };
}

function optionsFor(part: Buffer, dictionary: Buffer): ZstdOptions {
  return {
    dictionary,
    pledgedSrcSize: part.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: 19,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_contentSizeFlag]: 1,
    },
  };
}

async function readImage(path: string): Promise<SignedImage> {
  const { handle, bytes } = await openFile(path);
  try {
    const { image, tree } = await readLayout(bytes);
    if (tree === null)
      throw new PackageError('signature', `${path}: it is not signed, and has no hash tree to know it by`);
    const data = await readFrom(handle)(image.offset, tree.dataBlocks * VERITY_BLOCK);
    return { rootHash: tree.rootHash, data, size: bytes.size };
  } finally {
    await handle.close();
  }
}

/** The file appears when it is whole. */
async function write(path: string, parts: readonly Buffer[]): Promise<void> {
  const partial = `${path}.part`;
  try {
    await using file = await open(partial, 'w');
    await file.writev([...parts]);
    await file.sync();
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
