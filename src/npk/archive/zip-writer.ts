// Writes the entries of a package: stored, the image on a block boundary.
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/** A piece of an entry's content: in memory, or the first `size` bytes of a file. */
export type Content = { readonly bytes: Buffer } | { readonly handle: FileHandle; readonly size: number };

export interface NewEntry {
  readonly name: string;
  readonly content: readonly Content[];
  /** What the offset of its data is a multiple of; 1 = anywhere. */
  readonly alignment: number;
}

const CHUNK = 256 * 1024;
const EXTRA_ALIGNMENT = 0xa11e;
// Version 1.0, no flags, stored, 1980-01-01 00:00.
const COMMON = Buffer.from([10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
// Written by 1.0 on a system with modes; a regular file of mode 0644.
const MADE_BY = Buffer.from([10, 3]);
const ATTRIBUTES = 0o100644 * 2 ** 16;
const LARGEST = 0xfffffffe;

/**
 * Writes an archive from the start of an open, empty file; `onProgress` gets the bytes written so far. Throws a RangeError
 * when it would need ZIP64.
 */
export async function writeArchive(
  out: FileHandle,
  entries: readonly NewEntry[],
  comment: string,
  onProgress?: (bytes: number) => void,
): Promise<void> {
  const central: Buffer[] = [];
  let at = 0;
  for (const { name, content, alignment } of entries) {
    const size = content.reduce((total, source) => total + sizeOf(source), 0);
    const extra = alignmentField(at + 30 + Buffer.byteLength(name), alignment);
    const start = at + 30 + Buffer.byteLength(name) + extra.length;
    if (start + size > LARGEST) throw new RangeError(`${name} is too large: a package has at most 4 GiB`);
    let crc = 0;
    let end = start;
    for (const source of content) {
      for await (const chunk of chunks(source)) {
        crc = crc32(chunk, crc);
        end = await append(out, end, chunk);
        onProgress?.(end);
      }
    }
    if (end !== start + size) throw new Error(`${name} changed its size while it was written`);
    const shared = Buffer.concat([
      COMMON,
      numbers(4, crc, size, size),
      numbers(2, Buffer.byteLength(name), extra.length),
    ]);
    // The header stands in front, but has the checksum of what follows it.
    await append(out, at, Buffer.concat([Buffer.from('PK\x03\x04'), shared, Buffer.from(name), extra]));
    central.push(
      Buffer.concat([
        Buffer.from('PK\x01\x02'),
        MADE_BY,
        shared,
        numbers(2, 0, 0, 0),
        numbers(4, ATTRIBUTES, at),
        Buffer.from(name),
        extra,
      ]),
    );
    at = end;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.concat([
    Buffer.from('PK\x05\x06'),
    numbers(2, 0, 0, entries.length, entries.length),
    numbers(4, directory.length, at),
    numbers(2, Buffer.byteLength(comment)),
    Buffer.from(comment),
  ]);
  await append(out, at, Buffer.concat([directory, end]));
}

/** The extra field that pushes the data to a multiple: id, length, the alignment, zeros. */
function alignmentField(start: number, alignment: number): Buffer {
  if (alignment === 1) return Buffer.alloc(0);
  const smallest = start + 6;
  const zeros = (alignment - (smallest % alignment)) % alignment;
  return Buffer.concat([numbers(2, EXTRA_ALIGNMENT, 2 + zeros, alignment), Buffer.alloc(zeros)]);
}

function sizeOf(source: Content): number {
  return 'bytes' in source ? source.bytes.length : source.size;
}

/** The bytes of a piece; fewer when its file became shorter. */
export async function* chunks(source: Content): AsyncGenerator<Buffer> {
  if ('bytes' in source) {
    yield source.bytes;
    return;
  }
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (let at = 0; at < source.size;) {
    const { bytesRead } = await source.handle.read(buffer, 0, Math.min(CHUNK, source.size - at), at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

async function append(out: FileHandle, at: number, data: Buffer): Promise<number> {
  for (let done = 0; done < data.length;) {
    done += (await out.write(data, done, data.length - done, at + done)).bytesWritten;
  }
  return at + data.length;
}

function numbers(width: 2 | 4, ...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(width * values.length);
  values.forEach((value, index) =>
    width === 2 ? buffer.writeUInt16LE(value, 2 * index) : buffer.writeUInt32LE(value, 4 * index),
  );
  return buffer;
}
