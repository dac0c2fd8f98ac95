// A strict reader of ZIP archives whose entries are stored. Packages come from outside: everything here is checked
// before it is used, and what two readers could understand differently is refused.
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (section numbers below are its own)
import { crc32 } from 'node:zlib';
import type { Bytes } from './bytes.ts';
import { PackageError, type PackageFault } from '../package-error.ts';

/** An entry of the central directory. `header` is the position of its local header in the file. */
export interface Entry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly stored: number;
  readonly size: number;
  readonly header: number;
}

export interface Archive {
  readonly comment: Buffer;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Where the central directory starts: the end of everything that entries may occupy. */
  readonly directory: number;
}

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const LONGEST_DIRECTORY = 256 * 1024;
const TAIL = 12 * 1024;
const LONGEST_TAIL = 22 + 0xffff;
// Encrypted, patched, strongly encrypted, masked headers (4.4.4).
const REFUSED_FLAGS = 0x0001 | 0x0020 | 0x0040 | 0x2000;
const SIZES_FOLLOW = 0x0008;

interface End {
  readonly count: number;
  readonly size: number;
  readonly start: number;
  /** Bytes before the archive: what all offsets in it are short of. */
  readonly base: number;
  readonly comment: Buffer;
}

/** Reads the directory of an archive. Throws a PackageError. */
export async function readArchive(file: Bytes): Promise<Archive> {
  const end = await readEnd(file);
  const directory = await file.at(end.start, end.size);
  const entries = new Map<string, Entry>();
  let at = 0;
  for (let index = 0; index < end.count; index++) {
    const { entry, length } = readCentral(directory, at, end.base);
    // None of them is ours and we unpack none, but others do: no package that we vouch for leads them out.
    if (/^\/|^[A-Za-z]:|\\|(?:^|\/)\.\.(?:\/|$)/.test(entry.name))
      throw new PackageError('path', `the entry "${printable(entry.name)}" leads out of the package`);
    if (entries.has(entry.name))
      throw new PackageError('entry', `two entries have the name "${printable(entry.name)}"`);
    entries.set(entry.name, entry);
    at += length;
  }
  if (at !== end.size) throw broken(`the directory of ${end.count} entries takes ${at} bytes, not ${end.size}`);
  refuseOverlaps(entries, end);
  return { comment: end.comment, entries, directory: end.start };
}

/** Position and length of a stored entry's data, after its local header was compared with the directory. */
export async function locate(file: Bytes, archive: Archive, entry: Entry): Promise<{ offset: number; size: number }> {
  const name = printable(entry.name);
  if (entry.method !== 0)
    throw new PackageError('entry', `${name} is compressed (method ${entry.method}): entries must be stored`);
  if (entry.stored !== entry.size) throw broken(`${name} has ${entry.stored} bytes and claims ${entry.size}`);
  const fixed = await file.at(entry.header, 30);
  if (fixed.readUInt32LE(0) !== LOCAL) throw broken(`there is no local header of ${name} at ${entry.header}`);
  const nameLength = fixed.readUInt16LE(26);
  const offset = entry.header + 30 + nameLength + fixed.readUInt16LE(28);
  const variable = await file.at(entry.header + 30, offset - entry.header - 30);
  const local = sizesOf(fixed, 18, variable.subarray(nameLength), null);
  const open = (entry.flags & SIZES_FOLLOW) !== 0;
  const crc = fixed.readUInt32LE(14);
  const agrees =
    text(variable.subarray(0, nameLength)) === entry.name &&
    fixed.readUInt16LE(6) === entry.flags &&
    fixed.readUInt16LE(8) === entry.method &&
    (crc === entry.crc || (open && crc === 0)) &&
    ((local.stored === entry.stored && local.size === entry.size) || (open && local.stored === 0 && local.size === 0));
  if (!agrees) throw broken(`the local header of ${name} contradicts the directory`);
  const next = [...archive.entries.values()].map(({ header }) => header).filter((header) => header > entry.header);
  if (offset + entry.size > Math.min(archive.directory, ...next)) throw broken(`${name} runs into what follows it`);
  return { offset, size: entry.size };
}

/** The content of a small entry, its checksum compared. One of more than `most` bytes is refused, as the fault that is given. */
export async function readEntry(
  file: Bytes,
  archive: Archive,
  entry: Entry,
  { most, fault }: { most: number; fault: PackageFault },
): Promise<Buffer> {
  if (entry.size > most) {
    throw new PackageError(
      fault,
      `${printable(entry.name)} is too large: ${entry.size} bytes, at most ${most} are read`,
    );
  }
  const { offset, size } = await locate(file, archive, entry);
  const data = await file.at(offset, size);
  if (crc32(data) !== entry.crc) throw broken(`the checksum of ${printable(entry.name)} is wrong`);
  return data;
}

/** Finds the end record: the last one whose comment fits into the file (4.3.16). */
async function readEnd(file: Bytes): Promise<End> {
  for (const length of [TAIL, LONGEST_TAIL]) {
    const from = Math.max(0, file.size - length);
    await file.fetch(from, length);
    const tail = await file.at(from, file.size - from);
    for (let at = tail.length - 22; at >= 0; at--) {
      if (tail.readUInt32LE(at) !== END) continue;
      const comment = tail.readUInt16LE(at + 20);
      if (at + 22 + comment <= tail.length) return endRecord(file, tail.subarray(at, at + 22 + comment), from + at);
    }
    if (from === 0) break;
  }
  throw broken('it is no ZIP archive, or its end is missing');
}

async function endRecord(file: Bytes, record: Buffer, position: number): Promise<End> {
  let count = record.readUInt16LE(10);
  let size = record.readUInt32LE(12);
  let offset = record.readUInt32LE(16);
  let finish = position;
  if (record.readUInt16LE(4) !== 0 || record.readUInt16LE(6) !== 0 || record.readUInt16LE(8) !== count) {
    throw broken('it is one of several volumes');
  }
  if (count === 0xffff || size === 0xffffffff || offset === 0xffffffff) {
    ({ count, size, offset, finish } = await endRecord64(file, position));
  }
  if (size > LONGEST_DIRECTORY)
    throw broken(`its directory is too large: ${size} bytes, at most ${LONGEST_DIRECTORY} are read`);
  const start = finish - size;
  const base = start - offset;
  if (start < 0 || base < 0) throw broken('its directory does not lie where its end says');
  return { count, size, start, base, comment: record.subarray(22) };
}

/** The ZIP64 end record, which stands right before its locator and the end record (4.3.14, 4.3.15). */
async function endRecord64(
  file: Bytes,
  position: number,
): Promise<{ count: number; size: number; offset: number; finish: number }> {
  const finish = position - 20 - 56;
  const record = await file.at(finish, 56 + 20);
  const wellFormed =
    record.readUInt32LE(0) === END_64 &&
    number64(record, 4) === 44 &&
    record.readUInt32LE(16) === 0 &&
    record.readUInt32LE(20) === 0 &&
    number64(record, 24) === number64(record, 32) &&
    record.readUInt32LE(56) === LOCATOR_64 &&
    record.readUInt32LE(60) === 0 &&
    record.readUInt32LE(72) === 1;
  if (!wellFormed) throw broken('its ZIP64 end record is missing or malformed');
  const count = number64(record, 32);
  const size = number64(record, 40);
  const offset = number64(record, 48);
  if (number64(record, 64) !== offset + size) throw broken('its ZIP64 end record does not follow the directory');
  return { count, size, offset, finish };
}

function readCentral(directory: Buffer, at: number, base: number): { entry: Entry; length: number } {
  if (at + 46 > directory.length || directory.readUInt32LE(at) !== CENTRAL) throw broken('its directory is malformed');
  const nameLength = directory.readUInt16LE(at + 28);
  const extraLength = directory.readUInt16LE(at + 30);
  const length = 46 + nameLength + extraLength + directory.readUInt16LE(at + 32);
  if (at + length > directory.length) throw broken('its directory is malformed');
  const name = text(directory.subarray(at + 46, at + 46 + nameLength));
  const extra = directory.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength);
  const flags = directory.readUInt16LE(at + 8);
  if ((flags & REFUSED_FLAGS) !== 0) throw broken(`${printable(name)} is encrypted`);
  if (directory.readUInt16LE(at + 34) !== 0) throw broken('it is one of several volumes');
  const { size, stored, offset } = sizesOf(directory, at + 20, extra, directory.readUInt32LE(at + 42));
  const method = directory.readUInt16LE(at + 10);
  const crc = directory.readUInt32LE(at + 16);
  return { entry: { name, flags, method, crc, stored, size, header: base + offset }, length };
}

/** Stored and real size at `at`, and the offset; those that do not fit stand in the ZIP64 field in this order (4.5.3). */
function sizesOf(
  header: Buffer,
  at: number,
  extra: Buffer,
  offset: number | null,
): { size: number; stored: number; offset: number } {
  const wide = extraField(extra, 0x0001);
  let used = 0;
  const value = (short: number): number => {
    if (short !== 0xffffffff) return short;
    if (wide === null || used + 8 > wide.length) throw broken('a ZIP64 field is missing');
    used += 8;
    return number64(wide, used - 8);
  };
  const size = value(header.readUInt32LE(at + 4));
  const stored = value(header.readUInt32LE(at));
  return { size, stored, offset: offset === null ? 0 : value(offset) };
}

function extraField(extra: Buffer, id: number): Buffer | null {
  let found: Buffer | null = null;
  let at = 0;
  while (at + 4 <= extra.length) {
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (end > extra.length) throw broken('an extra field is longer than its place');
    if (extra.readUInt16LE(at) === id) {
      if (found !== null) throw broken('an extra field is there twice');
      found = extra.subarray(at + 4, end);
    }
    at = end;
  }
  return found;
}

/** No two entries share bytes. The lengths of local extra fields are not known here; locate() adds them for what is read. */
function refuseOverlaps(entries: ReadonlyMap<string, Entry>, end: End): void {
  let free = end.base;
  for (const { name, header, stored } of [...entries.values()].sort((a, b) => a.header - b.header)) {
    if (header < free) throw broken(`${printable(name)} overlaps the entry before it`);
    free = header + 30 + Buffer.byteLength(name) + stored;
  }
  if (free > end.start) throw broken('an entry runs into the directory');
}

function number64(buffer: Buffer, at: number): number {
  const value = buffer.readBigUInt64LE(at);
  if (value > Number.MAX_SAFE_INTEGER) throw broken('a number in it is out of range');
  return Number(value);
}

function text(bytes: Buffer): string {
  return bytes.toString('utf8');
}

/** A name as it may stand in a message: from outside, so bounded and without control characters. */
function printable(name: string): string {
  const shown = name.length > 100 ? `${name.slice(0, 100)}...` : name;
  return shown.replace(/[^\x20-\x7e]/g, '?');
}

function broken(message: string): PackageError {
  return new PackageError('archive', `the archive is broken: ${message}`);
}
