// The dm-verity superblock that follows the file system in the image of a signed package, and the place of its hash tree.
// https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity
import type { HashTree } from '../../../state/observed.ts';
import type { Bytes } from '../archive/bytes.ts';
import { PackageError } from '../package-error.ts';
import type { Image } from './superblock.ts';

/** A superblock as it is in the file: nobody has signed it. */
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

/** One level of a tree: where it begins, and its hash blocks. */
export type Level = HashTree['levels'][number];

export const VERITY_BLOCK = 4096;
export const HASH_BYTES = 32;
/** Hashes in a hash block. */
export const FAN_OUT = VERITY_BLOCK / HASH_BYTES;
export const VERITY_MAGIC = 'verity\0\0';
const LENGTH = 512;
const LONGEST_SALT = 256;

/** Reads the superblock at an offset into the image; null when there is none. Throws a PackageError when it is malformed. */
export async function readVerity(file: Bytes, image: Image, offset: number): Promise<Verity | null> {
  if (offset + LENGTH > image.size) return null;
  const block = await file.at(image.offset + offset, LENGTH);
  // struct verity_sb of cryptsetup, lib/verity/verity.c.
  if (block.toString('latin1', 0, 8) !== VERITY_MAGIC) return null;
  const saltSize = block.readUInt16LE(80);
  const dataBlocks = block.readBigUInt64LE(72);
  if (saltSize > LONGEST_SALT) throw unfit(`the superblock has a salt of ${saltSize} bytes`);
  if (dataBlocks > image.size) throw unfit(`the superblock covers ${dataBlocks} blocks, which the image does not have`);
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

/** The levels of the tree over so many blocks, from the data up; `end` is where its last block ends. Top level first in the file. */
export function treeLevels(dataBlocks: number, start: number): { readonly levels: Level[]; readonly end: number } {
  const counts: number[] = [];
  for (let below = dataBlocks; below > 1;) counts.push((below = Math.ceil(below / FAN_OUT)));
  let offset = start;
  const levels = counts.toReversed().map((blocks) => {
    const level = { offset, blocks };
    offset += blocks * VERITY_BLOCK;
    return level;
  });
  return { levels: levels.reverse(), end: offset };
}

/**
 * The tree that a signature names, its superblock checked against the signature and the image, since that itself is not
 * signed. Reads the superblock only. Throws a PackageError.
 */
export async function signedTree(
  file: Bytes,
  image: Image,
  signed: { readonly rootHash: string; readonly offset: number },
): Promise<HashTree> {
  const { rootHash, offset } = signed;
  if (!/^[0-9a-f]{64}$/.test(rootHash)) throw unfit('the signed root hash is not 64 hexadecimal digits');
  if (offset === 0 || offset % VERITY_BLOCK !== 0) throw unfit(`the signed offset ${offset} is no multiple of 4096`);
  const found = await readVerity(file, image, offset);
  if (found === null) throw unfit(`there is no superblock at ${offset}`);
  const { version, hashType, algorithm, dataBlockSize, hashBlockSize, dataBlocks, salt, uuid } = found;
  if (version !== 1 || hashType !== 1) throw unfit(`version ${version} and hash type ${hashType} are not 1`);
  if (algorithm !== 'sha256') throw unfit(`the hash is ${algorithm}, expected sha256`);
  if (dataBlockSize !== VERITY_BLOCK || hashBlockSize !== VERITY_BLOCK)
    throw unfit(`blocks of ${dataBlockSize} and ${hashBlockSize} bytes, expected 4096`);
  if (dataBlocks * VERITY_BLOCK !== offset)
    throw unfit(`the superblock covers ${dataBlocks} blocks, the signature ${offset / VERITY_BLOCK}`);
  const treeOffset = offset + VERITY_BLOCK;
  const { levels, end } = treeLevels(dataBlocks, treeOffset);
  if (end > image.size) throw unfit(`the hash tree ends at ${end}, the image at ${image.size}`);
  return { algorithm, rootHash, salt, uuid, dataBlocks, superblockOffset: offset, treeOffset, levels };
}

function unfit(message: string): PackageError {
  return new PackageError('verity', `dm-verity: ${message}`);
}
