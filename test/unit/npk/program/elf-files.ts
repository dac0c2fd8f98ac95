// ELF files made by hand, for processors that no compiler here knows.

export interface ElfFile {
  readonly machine: number;
  readonly bits?: 32 | 64;
  readonly bigEndian?: boolean;
  readonly interpreter?: string;
  readonly needed?: readonly string[];
  readonly runpath?: string;
}

/** A file with a head, PT_LOAD, PT_INTERP and PT_DYNAMIC as elf(5) has them, and nothing that could run. */
export function elfFile({ machine, bits = 64, bigEndian = false, interpreter, needed = [], runpath }: ElfFile): Buffer {
  const file = Buffer.alloc(4096);
  const base = 0x400000;
  const half = (at: number, value: number) =>
    bigEndian ? file.writeUInt16BE(value, at) : file.writeUInt16LE(value, at);
  const word = (at: number, value: number) =>
    bigEndian ? file.writeUInt32BE(value, at) : file.writeUInt32LE(value, at);
  const wide = (at: number, value: number) => {
    if (bits === 32) word(at, value);
    else if (bigEndian) file.writeBigUInt64BE(BigInt(value), at);
    else file.writeBigUInt64LE(BigInt(value), at);
  };

  const texts = ['', ...needed, ...(runpath === undefined ? [] : [runpath])];
  const textsAt = 1024;
  const offsets = texts.map((_, index) => Buffer.byteLength(texts.slice(0, index).join('\0')) + (index > 0 ? 1 : 0));
  file.write(`${texts.join('\0')}\0`, textsAt);
  const interpreterAt = 800;
  file.write(`${interpreter ?? ''}\0`, interpreterAt);
  const dynamicAt = 2048;
  const entries = [
    ...needed.map((_, index) => [1, offsets[index + 1] ?? 0]),
    ...(runpath === undefined ? [] : [[29, offsets.at(-1) ?? 0]]),
    [5, base + textsAt],
    [0, 0],
  ] as [number, number][];
  for (const [index, [tag, value]] of entries.entries()) {
    wide(dynamicAt + (index * bits) / 4, tag);
    wide(dynamicAt + (index * bits) / 4 + bits / 8, value);
  }

  const segments: [type: number, offset: number, address: number, size: number][] = [[1, 0, base, 4096]];
  if (interpreter !== undefined) segments.push([3, interpreterAt, base + interpreterAt, interpreter.length + 1]);
  if (needed.length > 0) segments.push([2, dynamicAt, base + dynamicAt, (entries.length * bits) / 4]);
  const [headSize, segmentSize] = bits === 32 ? [52, 32] : [64, 56];
  file.set([0x7f, 0x45, 0x4c, 0x46, bits === 32 ? 1 : 2, bigEndian ? 2 : 1, 1]);
  half(16, 2);
  half(18, machine);
  wide(bits === 32 ? 28 : 32, headSize);
  half(bits === 32 ? 42 : 54, segmentSize);
  half(bits === 32 ? 44 : 56, segments.length);
  for (const [index, [type, offset, address, size]] of segments.entries()) {
    const at = headSize + index * segmentSize;
    const [offsetAt, addressAt, sizeAt] = bits === 32 ? [4, 8, 16] : [8, 16, 32];
    word(at, type);
    wide(at + offsetAt, offset);
    wide(at + addressAt, address);
    wide(at + sizeAt, size);
  }
  return file;
}
