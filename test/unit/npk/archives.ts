// ZIP archives byte by byte, good and bad: apart from the writer under test, so that the reader has two sources.
import { crc32 } from 'node:zlib';
import type { Bytes } from '../../../src/npk/archive/bytes.ts';
import { PackageError } from '../../../src/npk/package-error.ts';

export interface Part {
  readonly name: string;
  readonly data: Buffer | string;
  /** What the headers say instead of the truth. */
  readonly method?: number;
  readonly flags?: number;
  readonly crc?: number;
  readonly localName?: string;
  readonly extra?: Buffer;
  /** Moves the local header that the directory names. */
  readonly shift?: number;
}

function numbers(width: 2 | 4, ...values: number[]): Buffer {
  const buffer = Buffer.alloc(width * values.length);
  values.forEach((value, index) => buffer.writeUIntLE(value, width * index, width));
  return buffer;
}

/** An archive of stored entries. */
export function archive(parts: readonly Part[], comment: Buffer | string = 'version: 0.9.2\n'): Buffer {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  for (const {
    name,
    data,
    method = 0,
    flags = 0,
    crc,
    localName = name,
    extra = Buffer.alloc(0),
    shift = 0,
  } of parts) {
    const bytes = Buffer.from(data);
    const sums = numbers(4, crc ?? crc32(bytes), bytes.length, bytes.length);
    const head = Buffer.concat([
      numbers(2, 10, flags, method, 0, 0x21),
      sums,
      numbers(2, Buffer.byteLength(name), extra.length),
    ]);
    const entry = Buffer.concat([Buffer.from('PK\x03\x04'), head, Buffer.from(localName), extra, bytes]);
    central.push(
      Buffer.concat([
        Buffer.from('PK\x01\x02\x0a\x03'),
        head,
        numbers(2, 0, 0, 0),
        numbers(4, 0, at + shift),
        Buffer.from(name),
        extra,
      ]),
    );
    local.push(entry);
    at += entry.length;
  }
  const directory = Buffer.concat(central);
  const note = Buffer.from(comment);
  const end = [
    numbers(2, 0, 0, parts.length, parts.length),
    numbers(4, directory.length, at),
    numbers(2, note.length),
    note,
  ];
  return Buffer.concat([...local, directory, Buffer.from('PK\x05\x06'), ...end]);
}

/** An extra field. */
export function extraField(id: number, content: Buffer): Buffer {
  return Buffer.concat([numbers(2, id, content.length), content]);
}

/** The same archive with a ZIP64 end record and locator in front of the end, whose own numbers say "look there". */
export function withEnd64(plain: Buffer, spoil: (record: Buffer) => void = () => undefined): Buffer {
  const end = plain.lastIndexOf('PK\x05\x06');
  const offset = plain.readUInt32LE(end + 16);
  const record = Buffer.alloc(56 + 20);
  record.write('PK\x06\x06', 0, 'latin1');
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(BigInt(plain.readUInt16LE(end + 8)), 24);
  record.writeBigUInt64LE(BigInt(plain.readUInt16LE(end + 8)), 32);
  record.writeBigUInt64LE(BigInt(plain.readUInt32LE(end + 12)), 40);
  record.writeBigUInt64LE(BigInt(offset), 48);
  record.write('PK\x06\x07', 56, 'latin1');
  record.writeBigUInt64LE(BigInt(end), 64);
  record.writeUInt32LE(1, 72);
  spoil(record);
  const short = Buffer.from(plain.subarray(end));
  short.fill(0xff, 8, 20);
  return Buffer.concat([plain.subarray(0, end), record, short]);
}

export interface Memory extends Bytes {
  /** How often a file would have been read. */
  reads(): number;
}

/** Bytes in memory instead of a file. */
export function memory(content: Buffer): Memory {
  let reads = 0;
  return {
    size: content.length,
    at: async (offset, length) => {
      reads += 1;
      if (offset < 0 || offset + length > content.length) throw new PackageError('archive', 'out of range');
      return content.subarray(offset, offset + length);
    },
    fetch: async () => undefined,
    reads: () => reads,
  };
}
