// Whether a program can be loaded by a kernel whose pages are as large as its processor allows.
import { readFile } from 'node:fs/promises';

const LOAD = 1;
/** Offsets in the header of a 64-bit ELF file, and in one of its program headers (elf(5)). */
const at = { table: 32, entrySize: 54, entries: 56, type: 0, align: 48 } as const;

/** Throws when a part of the program is aligned to less than so many bytes: execve(2) or dlopen(3) would refuse it. */
export async function checkAlignment(file: string, page: number): Promise<void> {
  const bytes = await readFile(file);
  const table = Number(bytes.readBigUInt64LE(at.table));
  const size = bytes.readUInt16LE(at.entrySize);
  for (let index = 0; index < bytes.readUInt16LE(at.entries); index += 1) {
    const entry = table + index * size;
    if (bytes.readUInt32LE(entry + at.type) !== LOAD) continue;
    const align = Number(bytes.readBigUInt64LE(entry + at.align));
    if (align >= page) continue;
    throw new Error(
      `${file} is aligned to ${align} bytes and would not load with pages of ${page}: link it with -z max-page-size=${page}`,
    );
  }
}
