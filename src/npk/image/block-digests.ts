// SHA-256 of blocks of a file, salted as dm-verity does it. What worker threads and the main thread both do.
import { hash } from 'node:crypto';
import { readSync } from 'node:fs';
import { HASH_BYTES, VERITY_BLOCK } from './verity.ts';

/** Blocks of an open file, and the salt (hex) that is hashed in front of each. */
export interface Blocks {
  /** A descriptor of this process; it must stay open until the digests are there. */
  readonly fd: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly count: number;
  readonly salt: string;
}

const READ = 256 * 1024;

/** Gives the function that hashes one block (hash type 1: the salt, then the block), with a buffer of its own. */
export function blockDigest(salt: string): (data: Buffer, at: number) => string {
  const prefix = Buffer.from(salt, 'hex');
  const salted = Buffer.alloc(prefix.length + VERITY_BLOCK);
  prefix.copy(salted);
  return (data, at) => {
    data.copy(salted, prefix.length, at, at + VERITY_BLOCK);
    // One call for each block; a string of bytes costs less than a Buffer or a Hash object.
    return hash('sha256', salted, 'binary');
  };
}

/** The digests of blocks, one after the other. Reads in place: for threads that may wait. Throws when the file is too short. */
export function digestsOf({ fd, offset, count, salt }: Blocks): Buffer {
  const digest = blockDigest(salt);
  const digests = Buffer.allocUnsafeSlow(count * HASH_BYTES);
  const data = Buffer.allocUnsafe(Math.min(READ, count * VERITY_BLOCK));
  for (let block = 0; block < count;) {
    const wanted = Math.min(data.length, (count - block) * VERITY_BLOCK);
    fill(fd, data.subarray(0, wanted), offset + block * VERITY_BLOCK);
    for (let at = 0; at < wanted; at += VERITY_BLOCK, block++) {
      digests.write(digest(data, at), block * HASH_BYTES, 'latin1');
    }
  }
  return digests;
}

function fill(fd: number, data: Buffer, position: number): void {
  for (let filled = 0; filled < data.length;) {
    const read = readSync(fd, data, filled, data.length - filled, position + filled);
    if (read === 0) throw new Error(`the file ends at ${position + filled}, inside of what is hashed`);
    filled += read;
  }
}
