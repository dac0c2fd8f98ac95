// Writes the two entries of a package: stored, the image on a block boundary.
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/** An entry's content: in memory, or a file of `size` bytes. */
export type Source = { readonly bytes: Buffer } | { readonly handle: FileHandle; readonly size: number };

export interface NewEntry {
  readonly name: string;
  readonly source: Source;
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

/** Writes an archive from the start of an open, empty file. Throws a RangeError when it would need ZIP64. */
export async function writeArchive(out: FileHandle, entries: readonly NewEntry[], comment: string): Promise<void> {
  const central: Buffer[] = [];
  let at = 0;
  for (const { name, source, alignment } of entries) {
    const { crc, size } = await checksum(source);
    const extra = alignmentField(at + 30 + Buffer.byteLength(name), alignment);
    const shared = Buffer.concat([
      COMMON,
      numbers(4, crc, size, size),
      numbers(2, Buffer.byteLength(name), extra.length),
    ]);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, Buffer.from(name), extra]);
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
    if (at + local.length + size > LARGEST) throw new RangeError(`${name} is too large: a package has at most 4 GiB`);
    at = await append(out, at, local);
    for await (const chunk of chunks(source)) at = await append(out, at, chunk);
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

async function checksum(source: Source): Promise<{ crc: number; size: number }> {
  let crc = 0;
  let size = 0;
  for await (const chunk of chunks(source)) {
    crc = crc32(chunk, crc);
    size += chunk.length;
  }
  return { crc, size };
}

async function* chunks(source: Source): AsyncGenerator<Buffer> {
  if ('bytes' in source) {
    yield source.bytes;
    return;
  }
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (let at = 0; at < source.size;) {
    const { bytesRead } = await source.handle.read(buffer, 0, CHUNK, at);
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
