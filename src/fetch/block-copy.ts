// Blocks of an image that are here already: in the file itself, from an attempt that was cut short, and in installed packages.
import type { FileHandle } from 'node:fs/promises';
import { openFile, readLayout, type Layout } from '../npk/open-package.ts';
import type { Hasher } from '../npk/image/hasher.ts';
import { readFrom, readLeaves } from '../npk/image/verify-image.ts';
import { HASH_BYTES, VERITY_BLOCK } from '../npk/image/verity.ts';
import { messageOf } from '../../state/errno.ts';
import type { RemotePart } from './remote-bytes.ts';
import { batchBlocks, type WantedBlocks } from './wanted-blocks.ts';

/** An image that is here, open for reading. */
export interface Donor {
  readonly handle: FileHandle;
  readonly layout: Layout;
}

/** Blocks that a thread hashes at a time (8 MiB). */
const chunk = 2048;

/** Opens packages to take blocks from for as long as `body` takes. What cannot be read is told to `skipped` and left out. */
export async function withDonors<T>(
  { donors: paths, skipped }: { readonly donors: readonly string[]; readonly skipped: (message: string) => void },
  body: (donors: readonly Donor[]) => Promise<T>,
): Promise<T> {
  await using handles = new AsyncDisposableStack();
  const donors: Donor[] = [];
  for (const path of paths) {
    try {
      const { handle, bytes } = await openFile(path);
      handles.use(handle);
      donors.push({ handle, layout: await readLayout(bytes) });
    } catch (error) {
      skipped(messageOf(error));
    }
  }
  return await body(donors);
}

/**
 * Finds out which blocks the donors have: from their trees where these have the same salt, which reads one part in 128 of them,
 * else by hashing all of their blocks with the new salt.
 */
export async function offerDonors(
  donors: readonly Donor[],
  wanted: WantedBlocks,
  { salt, hasher, signal, skipped }: OfferOptions,
): Promise<void> {
  for (const [index, { handle, layout }] of donors.entries()) {
    signal.throwIfAborted();
    try {
      const { image, tree } = layout;
      if (tree?.salt === salt) {
        wanted.offer(index, 0, await readLeaves(readFrom(handle), image, tree));
        continue;
      }
      const blocks = tree?.dataBlocks ?? Math.floor(image.size / VERITY_BLOCK);
      for (let first = 0; first < blocks; first += chunk) {
        signal.throwIfAborted();
        const count = Math.min(chunk, blocks - first);
        const offset = image.offset + first * VERITY_BLOCK;
        wanted.offer(index, first, await hasher.digests({ fd: handle.fd, offset, count, salt }));
      }
    } catch (error) {
      signal.throwIfAborted();
      skipped(messageOf(error));
    }
  }
}

export interface OfferOptions {
  /** Of the wanted blocks, hex. */
  readonly salt: string;
  readonly hasher: Hasher;
  readonly signal: AbortSignal;
  readonly skipped: (message: string) => void;
}

/** Finds the blocks that an earlier attempt has left in the file, at their own places. */
export async function recall(
  file: FileHandle,
  imageOffset: number,
  wanted: WantedBlocks,
  leaves: Buffer,
  { salt, hasher, signal }: Pick<OfferOptions, 'salt' | 'hasher' | 'signal'>,
): Promise<void> {
  const { size, blocks } = await file.stat();
  // Nothing was ever written to it.
  if (blocks === 0) return;
  const there = Math.min(wanted.count, Math.floor((size - imageOffset) / VERITY_BLOCK));
  for (let first = 0; first < there; first += chunk) {
    signal.throwIfAborted();
    const count = Math.min(chunk, there - first);
    const hashes = await hasher.digests({ fd: file.fd, offset: imageOffset + first * VERITY_BLOCK, count, salt });
    for (let index = 0; index < count; index++) {
      const at = (first + index) * HASH_BYTES;
      if (hashes.compare(leaves, at, at + HASH_BYTES, index * HASH_BYTES, (index + 1) * HASH_BYTES) === 0)
        wanted.done(first + index);
    }
  }
}

/** The blocks of an image, from `first` on, that lie in what has come of its file from `from` on. */
function blocksWithin({ from, data }: RemotePart, imageOffset: number, count: number): { first: number; data: Buffer } {
  const first = Math.max(0, Math.ceil((from - imageOffset) / VERITY_BLOCK));
  const begin = imageOffset + first * VERITY_BLOCK - from;
  const whole = Math.floor((data.length - begin) / VERITY_BLOCK);
  return { first, data: data.subarray(begin, begin + Math.max(0, Math.min(whole, count - first)) * VERITY_BLOCK) };
}

/** Keeps the blocks that came beside what was asked for: with the end of a package there is more of its image than of its tree. */
export async function keepArrived(
  file: FileHandle,
  imageOffset: number,
  wanted: WantedBlocks,
  parts: readonly RemotePart[],
): Promise<void> {
  for (const part of parts) await keepRight(file, imageOffset, wanted, blocksWithin(part, imageOffset, wanted.count));
}

/** Whether a block is among them. */
export function hasArrived(imageOffset: number, parts: readonly RemotePart[]): (block: number) => boolean {
  const at = (block: number): number => imageOffset + block * VERITY_BLOCK;
  return (block) => parts.some(({ from, data }) => from <= at(block) && at(block + 1) <= from + data.length);
}

/** Copies what the donors have into the file, each block hashed on its way: one that is not what it was said to be is left out. */
export async function copyBlocks(
  donors: readonly Donor[],
  file: FileHandle,
  imageOffset: number,
  wanted: WantedBlocks,
  signal: AbortSignal,
): Promise<void> {
  const data = Buffer.allocUnsafe(batchBlocks * VERITY_BLOCK);
  for (let block = 0; block < wanted.count;) {
    signal.throwIfAborted();
    const place = wanted.has(block) ? null : wanted.place(block);
    const donor = place && donors[place.donor];
    if (place === null || donor === null || donor === undefined) {
      block += 1;
      continue;
    }
    const from = block;
    const follows = (next: number): boolean => {
      const there = wanted.has(next) ? null : wanted.place(next);
      return there?.donor === place.donor && there.block - place.block === next - from;
    };
    while (block < wanted.count && block - from < batchBlocks && (block === from || follows(block))) block += 1;
    const length = (block - from) * VERITY_BLOCK;
    const offset = donor.layout.image.offset + place.block * VERITY_BLOCK;
    const { bytesRead } = await donor.handle.read(data, 0, length, offset);
    await keepRight(file, imageOffset, wanted, { first: from, data: data.subarray(0, bytesRead) });
  }
}

/** Writes those of the blocks that are right, neighbours together. Gives the first that is not, null when all are. */
export async function keepRight(
  file: FileHandle,
  imageOffset: number,
  wanted: WantedBlocks,
  { first, data }: { readonly first: number; readonly data: Buffer },
): Promise<number | null> {
  const count = Math.floor(data.length / VERITY_BLOCK);
  let wrong: number | null = null;
  let from = 0;
  for (let index = 0; index <= count; index++) {
    if (index < count && wanted.isRight(first + index, data, index * VERITY_BLOCK)) continue;
    if (index > from) {
      const part = data.subarray(from * VERITY_BLOCK, index * VERITY_BLOCK);
      await writeAll(file, part, imageOffset + (first + from) * VERITY_BLOCK);
      for (let each = from; each < index; each++) wanted.done(first + each);
    }
    if (index < count) wrong ??= first + index;
    from = index + 1;
  }
  return wrong;
}

/** Copies each block that is there a second time in the image from where it is there first. */
export async function repeatBlocks(
  file: FileHandle,
  imageOffset: number,
  wanted: WantedBlocks,
  signal: AbortSignal,
): Promise<void> {
  const data = Buffer.allocUnsafe(VERITY_BLOCK);
  for (let block = 0; block < wanted.count; block++) {
    if (wanted.has(block) || !wanted.has(wanted.first(block))) continue;
    signal.throwIfAborted();
    await file.read(data, 0, VERITY_BLOCK, imageOffset + wanted.first(block) * VERITY_BLOCK);
    await keepRight(file, imageOffset, wanted, { first: block, data });
  }
}

/** Writes all of `data` at a position (pwrite(2)). */
export async function writeAll(file: FileHandle, data: Buffer, position: number): Promise<void> {
  for (let done = 0; done < data.length;) {
    const { bytesWritten } = await file.write(data, done, data.length - done, position + done);
    done += bytesWritten;
  }
}
