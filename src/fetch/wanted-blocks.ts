// The data blocks that an image must have, by their hashes, and where each can be had without asking the server. Hints come from
// files that nobody vouches for: a block counts when it was hashed on its way into the file.
import { blockDigest } from '../npk/image/block-digests.ts';
import { HASH_BYTES, VERITY_BLOCK } from '../npk/image/verity.ts';

/** A block of a file that is here already. */
export interface Place {
  /** Index of the file among those that were looked through. */
  readonly donor: number;
  readonly block: number;
}

export interface WantedBlocks {
  readonly count: number;
  /** Looks through the hashes of a donor's blocks from `first` on, and remembers where wanted ones are. */
  offer(donor: number, first: number, hashes: Buffer): void;
  /** Where a block can be had; null = nobody has it. */
  place(block: number): Place | null;
  /** The first block of the image with the same bytes, itself when there is none before it. */
  first(block: number): number;
  /** Whether a block holds the bytes that the image must have there. */
  isRight(block: number, data: Buffer, at: number): boolean;
  /** Whether a block is in the file. */
  has(block: number): boolean;
  /** A block is in the file, checked. */
  done(block: number): void;
}

/** `leaves` are the hashes, SHA-256 with the salt (hex) as dm-verity has it. */
export function wantedBlocks(leaves: Buffer, salt: string): WantedBlocks {
  const count = leaves.length / HASH_BYTES;
  const digest = blockDigest(salt);
  // Six bytes of a hash find it: two that share them cost a copy that is seen to be wrong.
  const byPrefix = new Map<number, number>();
  const firsts = new Uint32Array(count);
  const donors = new Uint16Array(count);
  const blocks = new Uint32Array(count);
  const present = new Uint8Array(count);
  for (let block = 0; block < count; block++) {
    const prefix = leaves.readUIntBE(block * HASH_BYTES, 6);
    const known = byPrefix.get(prefix);
    const isSame = known !== undefined && sameHash(leaves, known, block);
    firsts[block] = isSame ? known : block;
    if (known === undefined) byPrefix.set(prefix, block);
  }

  return {
    count,
    offer(donor, first, hashes) {
      for (let index = 0; index * HASH_BYTES < hashes.length; index++) {
        const block = byPrefix.get(hashes.readUIntBE(index * HASH_BYTES, 6));
        if (block === undefined || donors[block] !== 0) continue;
        donors[block] = donor + 1;
        blocks[block] = first + index;
      }
    },
    place(block) {
      const first = firsts[block] ?? block;
      const donor = donors[first] ?? 0;
      return donor === 0 ? null : { donor: donor - 1, block: blocks[first] ?? 0 };
    },
    first: (block) => firsts[block] ?? block,
    isRight: (block, data, at) =>
      digest(data, at) === leaves.toString('latin1', block * HASH_BYTES, (block + 1) * HASH_BYTES),
    has: (block) => present[block] === 1,
    done: (block) => void (present[block] = 1),
  };
}

function sameHash(leaves: Buffer, one: number, other: number): boolean {
  return (
    leaves.compare(leaves, other * HASH_BYTES, (other + 1) * HASH_BYTES, one * HASH_BYTES, (one + 1) * HASH_BYTES) === 0
  );
}

/** Blocks that are read, hashed and written at a time: what the loop is held for, some half a millisecond. */
export const batchBlocks = (256 * 1024) / VERITY_BLOCK;
