import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkAlignment } from '../../../src/release/page-alignment.ts';

/** The heads of a 64-bit program with parts of these types and alignments. */
function program(...parts: readonly (readonly [type: number, align: number])[]): Buffer {
  const bytes = Buffer.alloc(64 + parts.length * 56);
  bytes.write('\x7fELF', 'latin1');
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(parts.length, 56);
  for (const [index, [type, align]] of parts.entries()) {
    bytes.writeUInt32LE(type, 64 + index * 56);
    bytes.writeBigUInt64LE(BigInt(align), 64 + index * 56 + 48);
  }
  return bytes;
}

test('what is loaded must be aligned to the largest page', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'northstate-elf-'));
  try {
    const file = join(folder, 'program');
    await writeFile(file, program([1, 65536], [2, 8], [1, 65536]));
    await checkAlignment(file, 65536);
    await writeFile(file, program([1, 65536], [1, 4096]));
    await checkAlignment(file, 4096);
    await assert.rejects(checkAlignment(file, 65536), /aligned to 4096 bytes and would not load with pages of 65536/);
    await checkAlignment(process.execPath, 4096);
  } finally {
    await rm(folder, { recursive: true });
  }
});
