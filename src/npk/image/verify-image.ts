// Checking an image against its hash tree: every block, from the open file that is attached afterwards.
import type { HashTree } from '../../../state/observed.ts';
import { blockDigest } from './block-digests.ts';
import type { Bytes, Source } from '../archive/bytes.ts';
import { PackageError } from '../package-error.ts';
import type { Hasher } from './hasher.ts';
import type { Image } from './superblock.ts';
import { FAN_OUT, HASH_BYTES, VERITY_BLOCK } from './verity.ts';

/** Data blocks that a thread takes at a time (8 MiB): what an abort waits for, and little enough to share the work evenly. */
const CHUNK = 16 * FAN_OUT;

export interface VerifyOptions {
  readonly hasher: Hasher;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of data that are checked so far, and how many there are. */
  readonly onProgress?: ((bytes: number, of: number) => void) | undefined;
}

/** Checks the block at the top of the tree against the signed root hash. Throws a PackageError. */
export async function checkTop(file: Bytes, image: Image, tree: HashTree): Promise<void> {
  const top = tree.levels.at(-1);
  if (top === undefined) return;
  const block = await file.at(image.offset + top.offset, VERITY_BLOCK);
  if (!matches(blockDigest(tree.salt), block, 0, rootOf(tree), 0)) throw wrongHash(tree, tree.levels.length - 1, 0);
}

/**
 * Reads every block of an image once and compares it with the tree, and the tree with the signed root. Rejects with a
 * PackageError that names the first wrong block (`verity`: of the tree, `image`: of the data), with what reading failed with,
 * or with the signal's reason; by then nothing reads the file any more.
 */
export async function verifyImage(
  handle: Source & { readonly fd: number },
  image: Pick<Image, 'offset'>,
  tree: HashTree,
  { hasher, signal, onProgress }: VerifyOptions,
): Promise<void> {
  const leaves = createLeaves(readFrom(handle), image, tree);
  let from = 0;
  let done = 0;
  const failures: { readonly from: number; readonly error: unknown }[] = [];

  const chunk = async (first: number): Promise<void> => {
    const count = Math.min(CHUNK, tree.dataBlocks - first);
    const offset = image.offset + first * VERITY_BLOCK;
    // The tree's part is read and checked while a thread hashes the data.
    const [wanted, found] = await settled(
      leaves(first, count),
      hasher.digests({ fd: handle.fd, offset, count, salt: tree.salt }),
    );
    if (!wanted.equals(found)) throw wrongData(first + firstDifference(wanted, found));
    done += count;
    onProgress?.(done * VERITY_BLOCK, tree.dataBlocks * VERITY_BLOCK);
  };

  const lane = async (): Promise<void> => {
    while (from < tree.dataBlocks && failures.length === 0) {
      signal?.throwIfAborted();
      const first = from;
      from += CHUNK;
      try {
        await chunk(first);
      } catch (error) {
        failures.push({ from: first, error });
      }
    }
  };

  // Two at work for each thread, so that none waits for this one.
  await settled(...Array.from({ length: 2 * hasher.threads }, lane));
  // Chunks are taken in order: whatever comes before the first failure was at work already, and is done by now.
  const [failure] = failures.sort((a, b) => a.from - b.from);
  if (failure !== undefined) throw failure.error;
}

/**
 * The hashes that a tree has of the data blocks, one after the other, each checked up to the root. Only the tree is read. Rejects
 * with a PackageError that names the first wrong block of it.
 */
export async function readLeaves(read: ReadRange, image: Pick<Image, 'offset'>, tree: HashTree): Promise<Buffer> {
  const leaves = createLeaves(read, image, tree);
  const all = Buffer.allocUnsafe(tree.dataBlocks * HASH_BYTES);
  for (let first = 0; first < tree.dataBlocks; first += CHUNK) {
    const part = await leaves(first, Math.min(CHUNK, tree.dataBlocks - first));
    part.copy(all, first * HASH_BYTES);
  }
  return all;
}

/** Gives exactly `length` bytes at `offset` of a package's file. */
export type ReadRange = (offset: number, length: number) => Promise<Buffer>;

/** Gives the function that reads the hashes of data blocks, checked up to the root. */
function createLeaves(
  read: ReadRange,
  image: Pick<Image, 'offset'>,
  tree: HashTree,
): (first: number, count: number) => Promise<Buffer> {
  const digest = blockDigest(tree.salt);
  // The block of each level that was checked last: the next question is nearly always about the same.
  const checked = new Map<number, { readonly block: number; readonly data: Buffer }>();

  async function hashBlock(level: number, block: number): Promise<Buffer> {
    const known = checked.get(level);
    if (known?.block === block) return known.data;
    const data = await hashBlocks(level, block, 1);
    checked.set(level, { block, data });
    return data;
  }

  async function hashBlocks(level: number, first: number, count: number): Promise<Buffer> {
    const start = image.offset + (tree.levels[level]?.offset ?? 0) + first * VERITY_BLOCK;
    const data = await read(start, count * VERITY_BLOCK);
    for (let index = 0; index < count; index++) {
      const block = first + index;
      const isTop = level + 1 === tree.levels.length;
      const above = isTop ? rootOf(tree) : await hashBlock(level + 1, Math.floor(block / FAN_OUT));
      const at = isTop ? 0 : (block % FAN_OUT) * HASH_BYTES;
      if (!matches(digest, data, index * VERITY_BLOCK, above, at)) throw wrongHash(tree, level, block);
    }
    return data;
  }

  return async (first, count) => {
    if (tree.levels.length === 0) return rootOf(tree);
    const blocks = await hashBlocks(0, first / FAN_OUT, Math.ceil(count / FAN_OUT));
    return blocks.subarray(0, count * HASH_BYTES);
  };
}

/** Reads from an open file (pread(2)). */
export function readFrom(handle: Source): ReadRange {
  return async (offset, length) => {
    const data = Buffer.allocUnsafe(length);
    for (let filled = 0; filled < length;) {
      const { bytesRead } = await handle.read(data, filled, length - filled, offset + filled);
      if (bytesRead === 0) throw new PackageError('archive', 'the file became shorter while it was read');
      filled += bytesRead;
    }
    return data;
  };
}

function rootOf({ rootHash }: HashTree): Buffer {
  return Buffer.from(rootHash, 'hex');
}

function matches(
  digest: ReturnType<typeof blockDigest>,
  data: Buffer,
  at: number,
  wanted: Buffer,
  wantedAt: number,
): boolean {
  return digest(data, at) === wanted.toString('latin1', wantedAt, wantedAt + HASH_BYTES);
}

function firstDifference(wanted: Buffer, found: Buffer): number {
  const at = wanted.findIndex((byte, index) => byte !== found[index]);
  return Math.floor(at / HASH_BYTES);
}

/** Waits for all, then rejects with the first that has failed: nothing is at work any more. */
async function settled<T extends readonly Promise<unknown>[]>(...all: T): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(all);
  return Promise.all(all);
}

function wrongData(block: number): PackageError {
  return new PackageError(
    'image',
    `data block ${block} of fs.img (4096 bytes at ${block * VERITY_BLOCK}) is not the one that was signed`,
  );
}

function wrongHash({ levels }: HashTree, level: number, block: number): PackageError {
  const offset = (levels[level]?.offset ?? 0) + block * VERITY_BLOCK;
  return new PackageError(
    'verity',
    `block ${block} of level ${level} of the hash tree (at ${offset} of fs.img) is wrong`,
  );
}
