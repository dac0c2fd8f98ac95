// The dm-verity superblock that follows the file system in the image of a signed package.
import type { Bytes } from './bytes.ts';
import { PackageError } from './error.ts';
import type { Image } from './image.ts';

export interface Verity {
  /** From the start of the image, in bytes. */
  readonly offset: number;
  readonly version: number;
  readonly hashType: number;
  readonly algorithm: string;
  readonly dataBlockSize: number;
  readonly hashBlockSize: number;
  readonly dataBlocks: number;
  readonly salt: string;
  readonly uuid: string;
}

const MAGIC = 'verity\0\0';
const LENGTH = 512;
const LONGEST_SALT = 256;

/** Reads the superblock at an offset into the image; null when there is none. Throws a PackageError when it is malformed. */
export async function readVerity(file: Bytes, image: Image, offset: number): Promise<Verity | null> {
  if (offset + LENGTH > image.size) return null;
  const block = await file.at(image.offset + offset, LENGTH);
  // struct verity_sb of cryptsetup, lib/verity/verity.c.
  if (block.toString('latin1', 0, 8) !== MAGIC) return null;
  const saltSize = block.readUInt16LE(80);
  const dataBlocks = block.readBigUInt64LE(72);
  if (saltSize > LONGEST_SALT)
    throw new PackageError('verity', `the verity superblock has a salt of ${saltSize} bytes`);
  if (dataBlocks > image.size)
    throw new PackageError(
      'verity',
      `the verity superblock covers ${dataBlocks} blocks, which the image does not have`,
    );
  return {
    offset,
    version: block.readUInt32LE(8),
    hashType: block.readUInt32LE(12),
    algorithm: block
      .toString('latin1', 32, 64)
      .replace(/\0.*$/s, '')
      .replace(/[^\w-]/g, '?'),
    dataBlockSize: block.readUInt32LE(64),
    hashBlockSize: block.readUInt32LE(68),
    dataBlocks: Number(dataBlocks),
    salt: block.toString('hex', 88, 88 + saltSize),
    uuid: block.toString('hex', 16, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
  };
}
