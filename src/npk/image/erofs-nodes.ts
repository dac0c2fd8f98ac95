// Device nodes in an erofs image without the privilege to make one: mkfs.erofs packs empty files in their places, whose
// inodes are then rewritten. The layout is that of Linux fs/erofs/erofs_fs.h.
import { open, type FileHandle } from 'node:fs/promises';
import type { MountPoint } from './mount-points.ts';

export type DeviceNode = Extract<MountPoint, { readonly type: 'device' }>;

interface FileSystem {
  readonly handle: FileHandle;
  readonly blockSize: number;
  /** Where the inodes' numbers count from, in bytes. */
  readonly inodes: number;
  readonly root: bigint;
}

interface Dirent {
  readonly name: string;
  readonly inode: bigint;
  /** Where its type stands in the image. */
  readonly typeAt: number;
}

const SUPERBLOCK = 1024;
const HAS_CHECKSUM = 0x1;
const INODE_UNIT = 32;
const DIRENT = 12;
const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const FILE_TYPE_CHARACTER_DEVICE = 3;

/** Turns empty files of an image into character devices. Rejects when one is not there, or not empty. */
export async function makeDeviceNodes(image: string, nodes: readonly DeviceNode[]): Promise<void> {
  await using handle = await open(image, 'r+');
  const superblock = await read(handle, SUPERBLOCK, 128);
  const blockSize = 2 ** superblock.readUInt8(12);
  const inodes = superblock.readUInt32LE(40) * blockSize;
  const fs: FileSystem = { handle, blockSize, inodes, root: BigInt(superblock.readUInt16LE(14)) };
  for (const node of nodes) await makeNode(fs, node);
  // The checksum covers the rest of the superblock's block, in which inodes are.
  if ((superblock.readUInt32LE(8) & HAS_CHECKSUM) !== 0) await writeChecksum(fs);
}

async function makeNode(fs: FileSystem, { path, mode, major, minor }: DeviceNode): Promise<void> {
  let found: Dirent = { name: '', inode: fs.root, typeAt: 0 };
  for (const name of path.slice(1).split('/')) {
    const next = (await entriesOf(fs, found.inode)).find((entry) => entry.name === name);
    if (next === undefined) throw new Error(`the erofs image has no ${path}`);
    found = next;
  }
  const at = positionOf(fs, found.inode);
  const inode = await read(fs.handle, at, INODE_UNIT);
  if (inode.readUInt32LE(8) !== 0) throw new Error(`${path} in the erofs image is not empty`);
  inode.writeUInt16LE(inode.readUInt16LE(0) & 1, 0); // flat: no data, whatever was compressed
  inode.writeUInt16LE((inode.readUInt16LE(4) & ~S_IFMT & ~0o7777) | S_IFCHR | mode, 4);
  inode.writeUInt32LE((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12), 16); // new_encode_dev()
  await fs.handle.write(inode, 0, inode.length, at);
  await fs.handle.write(Buffer.from([FILE_TYPE_CHARACTER_DEVICE]), 0, 1, found.typeAt);
}

/** What is in a directory: blocks of entries, of which the last may stand behind the inode. */
async function entriesOf(fs: FileSystem, inode: bigint): Promise<Dirent[]> {
  const at = positionOf(fs, inode);
  const head = await read(fs.handle, at, INODE_UNIT);
  const format = head.readUInt16LE(0);
  const isInline = ((format >> 1) & 7) === 2;
  const size = head.readUInt32LE(8);
  const start = head.readUInt32LE(16) * fs.blockSize;
  const behind = at + ((format & 1) === 0 ? 32 : 64);
  const entries: Dirent[] = [];
  for (let from = 0; from < size; from += fs.blockSize) {
    const length = Math.min(fs.blockSize, size - from);
    const isTail = isInline && from + fs.blockSize > size;
    entries.push(...(await blockOf(fs, isTail ? behind : start + from, length)));
  }
  return entries;
}

async function blockOf({ handle }: FileSystem, at: number, length: number): Promise<Dirent[]> {
  const block = await read(handle, at, length);
  const end = block.readUInt16LE(8);
  return Array.from({ length: end / DIRENT }, (_, index) => {
    const entry = index * DIRENT;
    const from = block.readUInt16LE(entry + 8);
    const to = entry + DIRENT < end ? block.readUInt16LE(entry + DIRENT + 8) : length;
    const name = block.toString('utf8', from, to).replace(/\0.*$/s, '');
    return { name, inode: block.readBigUInt64LE(entry), typeAt: at + entry + 10 };
  });
}

function positionOf({ inodes }: FileSystem, inode: bigint): number {
  return inodes + Number(inode) * INODE_UNIT;
}

async function writeChecksum({ handle, blockSize }: FileSystem): Promise<void> {
  const block = await read(handle, SUPERBLOCK, blockSize - SUPERBLOCK);
  block.writeUInt32LE(0, 4);
  block.writeUInt32LE(crc32c(block), 4);
  await handle.write(block, 4, 4, SUPERBLOCK + 4);
}

/** CRC-32C without the inversion at the end, as erofs has it. */
function crc32c(data: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : 0x82f63b78);
  }
  return crc >>> 0;
}

async function read(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, at);
  if (bytesRead !== length) throw new Error(`the erofs image ends before ${at + length}`);
  return buffer;
}
