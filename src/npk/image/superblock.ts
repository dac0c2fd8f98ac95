// What an image says about itself in its superblock.
import type { Bytes } from '../archive/bytes.ts';
import { PackageError } from '../package-error.ts';

export interface Image {
  /** Where it starts in the package, and its length with everything that was appended; bytes. */
  readonly offset: number;
  readonly size: number;
  readonly type: 'squashfs' | 'erofs';
  /** As the superblock names it; a squashfs image without compression still says gzip. */
  readonly compression: string;
}

/** The file system's own facts: bytes it occupies and its block size. */
export interface Superblock {
  readonly type: 'squashfs' | 'erofs';
  readonly compression: string;
  readonly used: number;
  readonly blockSize: number;
  /** No block of it is compressed, whatever `compression` says. */
  readonly uncompressed: boolean;
}

const SQUASHFS_MAGIC = 0x73717368;
const SQUASHFS_COMPRESSION = ['gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd'];
const SQUASHFS_UNCOMPRESSED = 0b1011;
const EROFS_MAGIC = 0xe0f5e1e2;
const EROFS_AT = 1024;
const EROFS_COMPRESSION = ['lz4', 'lzma', 'deflate', 'zstd'];
const EROFS_LZ4_PADDING = 0x1;
const EROFS_CONFIGURATIONS = 0x2;

/** How many bytes at the start of an image tell what it is. */
export const SUPERBLOCK_BYTES = EROFS_AT + 128;

/** Reads the superblock of the image at `offset`. Throws a PackageError when it is neither squashfs nor erofs, or cut off. */
export async function readSuperblock(file: Bytes, offset: number, size: number): Promise<Superblock> {
  const start = await file.at(offset, Math.min(size, SUPERBLOCK_BYTES));
  const superblock = squashfs(start) ?? erofs(start);
  if (superblock === null) throw new PackageError('image', 'fs.img is neither a squashfs nor an erofs image');
  if (superblock.used > size) {
    throw new PackageError('image', `fs.img is cut off: its file system has ${superblock.used} bytes, it ${size}`);
  }
  return superblock;
}

/** struct squashfs_super_block, Linux fs/squashfs/squashfs_fs.h. */
function squashfs(start: Buffer): Superblock | null {
  if (start.length < 96 || start.readUInt32LE(0) !== SQUASHFS_MAGIC) return null;
  const blockSize = start.readUInt32LE(12);
  const compression = SQUASHFS_COMPRESSION[start.readUInt16LE(20) - 1];
  const version = start.readUInt16LE(28) === 4 && start.readUInt16LE(30) === 0;
  if (!version || compression === undefined || blockSize !== 2 ** start.readUInt16LE(22)) {
    throw new PackageError(
      'image',
      'fs.img has a squashfs superblock that is not of version 4.0 or contradicts itself',
    );
  }
  const flags = start.readUInt16LE(24);
  const uncompressed = (flags & SQUASHFS_UNCOMPRESSED) === SQUASHFS_UNCOMPRESSED;
  return { type: 'squashfs', compression, used: Number(start.readBigUInt64LE(40)), blockSize, uncompressed };
}

/** struct erofs_super_block, Linux fs/erofs/erofs_fs.h. */
function erofs(start: Buffer): Superblock | null {
  if (start.length < SUPERBLOCK_BYTES || start.readUInt32LE(EROFS_AT) !== EROFS_MAGIC) return null;
  const bits = start.readUInt8(EROFS_AT + 12);
  if (bits < 9 || bits > 16)
    throw new PackageError('image', `fs.img has an erofs superblock with blocks of 2^${bits} bytes`);
  const features = start.readUInt32LE(EROFS_AT + 80);
  const algorithms = start.readUInt16LE(EROFS_AT + 84);
  let compression = (features & EROFS_LZ4_PADDING) === 0 ? 'none' : 'lz4';
  if ((features & EROFS_CONFIGURATIONS) !== 0) {
    compression = EROFS_COMPRESSION.filter((_, bit) => (algorithms & (1 << bit)) !== 0).join('+') || 'none';
  }
  const used = start.readUInt32LE(EROFS_AT + 36) * 2 ** bits;
  return { type: 'erofs', compression, used, blockSize: 2 ** bits, uncompressed: compression === 'none' };
}
