// What the head of an ELF file says about how it wants to be started (elf(5)): the processor, the program that loads it,
// and the libraries that this one looks for. The file may be anybody's: every size in it is bounded.
import type { FileHandle } from 'node:fs/promises';
import { machineName } from './architecture.ts';

export interface Elf {
  /** What it was made for, as `uname -m` says it. */
  readonly architecture: string;
  /** PT_INTERP: the program that loads it; null for a static one and for a library. */
  readonly interpreter: string | null;
  /** DT_NEEDED: names of libraries, or paths of them. */
  readonly needed: readonly string[];
  /** DT_RPATH and DT_RUNPATH: directories to look in first. */
  readonly rpath: readonly string[];
  readonly runpath: readonly string[];
}

const MOST_HEADERS = 1024;
const LONGEST_DYNAMIC = 1024 * 1024;
const MOST_NEEDED = 1024;
const LONGEST_TEXT = 4096;

const segment = { load: 1, dynamic: 2, interpreter: 3 };
const tag = { end: 0, needed: 1, texts: 5, rpath: 15, runpath: 29 };

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** Reads the head of an open file; null when it is no ELF file. Rejects with an Error for one that is broken. */
export async function readElf(file: FileHandle): Promise<Elf | null> {
  const head = await bytesAt(file, 0, 64);
  if (head.length < 20 || head.readUInt32BE(0) !== 0x7f454c46) return null;
  const bits = head[4] === 1 ? 32 : 64;
  const bigEndian = head[5] === 2;
  const reader = createReader(bits, bigEndian);
  const architecture = machineName(reader.half(head, 18), bits, bigEndian);
  const segments = await readSegments(file, head, reader);
  const interpreter = segments.find(({ type }) => type === segment.interpreter);
  return {
    architecture,
    interpreter: interpreter === undefined ? null : await textAt(file, interpreter.offset),
    ...(await readDynamic(file, segments, reader)),
  };
}

/** Numbers of one class and byte order. */
interface Reader {
  readonly bits: 32 | 64;
  readonly half: (from: Buffer, at: number) => number;
  readonly word: (from: Buffer, at: number) => number;
  /** As wide as an address. Throws for one that no file reaches. */
  readonly wide: (from: Buffer, at: number) => number;
}

function createReader(bits: 32 | 64, bigEndian: boolean): Reader {
  const half = (from: Buffer, at: number): number => (bigEndian ? from.readUInt16BE(at) : from.readUInt16LE(at));
  const word = (from: Buffer, at: number): number => (bigEndian ? from.readUInt32BE(at) : from.readUInt32LE(at));
  const wide = (from: Buffer, at: number): number =>
    bits === 32 ? word(from, at) : Number(bigEndian ? from.readBigUInt64BE(at) : from.readBigUInt64LE(at));
  return { bits, half, word, wide };
}

async function readSegments(file: FileHandle, head: Buffer, { bits, half, word, wide }: Reader): Promise<Segment[]> {
  const [offsetAt, sizeAt, least] = bits === 32 ? [28, 42, 32] : [32, 54, 56];
  if (head.length < sizeAt + 4) throw new Error('is an ELF file whose head is cut off');
  const size = half(head, sizeAt);
  const count = half(head, sizeAt + 2);
  if (count === 0) return [];
  if (size < least || count > MOST_HEADERS) throw new Error('is an ELF file with a broken table of segments');
  const table = await bytesAt(file, wide(head, offsetAt), size * count);
  if (table.length < size * count) throw new Error('is an ELF file whose table of segments is cut off');
  return Array.from({ length: count }, (_, index) => {
    const at = index * size;
    const [offset, address, length] = bits === 32 ? [4, 8, 16] : [8, 16, 32];
    return {
      type: word(table, at),
      offset: wide(table, at + offset),
      address: wide(table, at + address),
      size: wide(table, at + length),
    };
  });
}

type Dynamic = Pick<Elf, 'needed' | 'rpath' | 'runpath'>;

async function readDynamic(file: FileHandle, segments: readonly Segment[], reader: Reader): Promise<Dynamic> {
  const dynamic = segments.find(({ type }) => type === segment.dynamic);
  if (dynamic === undefined) return { needed: [], rpath: [], runpath: [] };
  if (dynamic.size > LONGEST_DYNAMIC) throw new Error('is an ELF file with a dynamic section of more than 1 MiB');
  const entries = entriesOf(await bytesAt(file, dynamic.offset, dynamic.size), reader);
  const valuesOf = (wanted: number): number[] => entries.filter(([kind]) => kind === wanted).map(([, value]) => value);
  const [texts] = valuesOf(tag.texts);
  const start = segments.find(
    ({ type, address, size }) =>
      type === segment.load && texts !== undefined && texts >= address && texts < address + size,
  );
  const needed = valuesOf(tag.needed);
  const paths = [...valuesOf(tag.rpath), ...valuesOf(tag.runpath)];
  if (needed.length + paths.length === 0) return { needed: [], rpath: [], runpath: [] };
  if (start === undefined || texts === undefined || needed.length > MOST_NEEDED)
    throw new Error('is an ELF file with a broken dynamic section');
  const text = (at: number): Promise<string> => textAt(file, start.offset + texts - start.address + at);
  const list = async (wanted: number): Promise<string[]> => {
    const joined = await Promise.all(valuesOf(wanted).slice(0, 1).map(text));
    return joined.flatMap((each) => each.split(':')).filter((each) => each !== '');
  };
  return {
    needed: await Promise.all(needed.map(text)),
    rpath: await list(tag.rpath),
    runpath: await list(tag.runpath),
  };
}

/** Tags with their values, up to DT_NULL. */
function entriesOf(bytes: Buffer, { bits, wide }: Reader): [number, number][] {
  const width = bits / 8;
  const entries: [number, number][] = [];
  for (let at = 0; at + 2 * width <= bytes.length; at += 2 * width) {
    const kind = wide(bytes, at);
    if (kind === tag.end) break;
    entries.push([kind, wide(bytes, at + width)]);
  }
  return entries;
}

/** A text up to its NUL. */
async function textAt(file: FileHandle, offset: number): Promise<string> {
  const bytes = await bytesAt(file, offset, LONGEST_TEXT);
  const end = bytes.indexOf(0);
  if (end < 0) throw new Error('is an ELF file with a text that does not end');
  return bytes.toString('utf8', 0, end);
}

/** So many bytes, or as many as the file has from there. */
async function bytesAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  if (!Number.isSafeInteger(offset)) return Buffer.alloc(0);
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, offset);
  return buffer.subarray(0, bytesRead);
}
