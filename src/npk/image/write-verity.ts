// Writing dm-verity data as veritysetup(8) does: superblock, then the tree, its top level first.
import type { FileHandle } from 'node:fs/promises';
import { blockDigest } from './block-digests.ts';
import type { Hasher } from './hasher.ts';
import { FAN_OUT, HASH_BYTES, treeLevels, VERITY_BLOCK, VERITY_MAGIC } from './verity.ts';

export interface NewTree {
  /** Superblock and tree: what follows the data. */
  readonly bytes: Buffer;
  /** Hex. */
  readonly rootHash: string;
}

export interface TreeOptions {
  /** 0 to 256 bytes, hex. */
  readonly salt: string;
  readonly uuid: string;
  readonly hasher: Hasher;
  /** Called with the bytes of data that are hashed so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** Data blocks that a thread hashes at a time (8 MiB). */
const CHUNK = 16 * FAN_OUT;

/** The verity data for the first `dataBlocks` blocks of an open file. */
export async function makeTree(
  handle: FileHandle,
  dataBlocks: number,
  { salt, uuid, hasher, onProgress }: TreeOptions,
): Promise<NewTree> {
  const { levels, end } = treeLevels(dataBlocks, VERITY_BLOCK);
  const bytes = Buffer.alloc(end);
  superblock(dataBlocks, salt, uuid).copy(bytes);
  const leaves = Buffer.alloc(dataBlocks * HASH_BYTES);
  let from = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    while (from < dataBlocks) {
      const first = from;
      from += CHUNK;
      const count = Math.min(CHUNK, dataBlocks - first);
      const digests = await hasher.digests({ fd: handle.fd, offset: first * VERITY_BLOCK, count, salt });
      digests.copy(leaves, first * HASH_BYTES);
      done += count;
      onProgress?.(done * VERITY_BLOCK);
    }
  };
  // Two at work for each thread, so that none waits for this one. All end before the file may be closed.
  const lanes = Array.from({ length: 2 * hasher.threads }, lane);
  await Promise.allSettled(lanes);
  await Promise.all(lanes);

  const digest = blockDigest(salt);
  let below = leaves;
  for (const { offset, blocks } of levels) {
    below.copy(bytes, offset);
    const level = bytes.subarray(offset, offset + blocks * VERITY_BLOCK);
    below = Buffer.alloc(blocks * HASH_BYTES);
    for (let block = 0; block < blocks; block++) {
      below.write(digest(level, block * VERITY_BLOCK), block * HASH_BYTES, 'latin1');
    }
  }
  return { bytes, rootHash: below.toString('hex') };
}

/** struct verity_sb of cryptsetup, lib/verity/verity.c, in a block of its own. */
function superblock(dataBlocks: number, salt: string, uuid: string): Buffer {
  const block = Buffer.alloc(VERITY_BLOCK);
  block.write(VERITY_MAGIC, 0, 'latin1');
  block.writeUInt32LE(1, 8); // version
  block.writeUInt32LE(1, 12); // hash type
  block.write(uuid.replaceAll('-', ''), 16, 'hex');
  block.write('sha256', 32, 'latin1');
  block.writeUInt32LE(VERITY_BLOCK, 64); // data blocks
  block.writeUInt32LE(VERITY_BLOCK, 68); // hash blocks
  block.writeBigUInt64LE(BigInt(dataBlocks), 72);
  block.writeUInt16LE(salt.length / 2, 80);
  block.write(salt, 88, 'hex');
  return block;
}
