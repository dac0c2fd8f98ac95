// Reading the head of ELF files: what compilers make, what is made by hand for other processors, and what is broken.
import assert from 'node:assert/strict';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { architectureNamed, hostArchitecture } from '../../../../src/npk/program/architecture.ts';
import { readElf, type Elf } from '../../../../src/npk/program/elf.ts';
import { run } from '../../../support/command.ts';
import { elfFile } from './elf-files.ts';

let work = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-elf-'));
});
after(() => rm(work, { recursive: true }));

async function read(bytes: Buffer): Promise<Elf | null> {
  await writeFile(join(work, 'file'), bytes);
  await using file = await open(join(work, 'file'));
  return await readElf(file);
}

test('a program that gcc links with a library says its loader, its libraries and where to look for them', async () => {
  await writeFile(join(work, 'a.c'), '#include <math.h>\nint main(int n, char **v) { return (int)sin(n); }\n');
  const linked = await run('gcc', [
    ...['-o', join(work, 'a'), join(work, 'a.c'), '-Wl,--no-as-needed', '-lm', '-Wl,-rpath,$ORIGIN/../lib:/opt/lib'],
  ]);
  assert.equal(linked.code, 0, linked.stderr);
  await using file = await open(join(work, 'a'));
  const elf = await readElf(file);
  assert.equal(elf?.architecture, hostArchitecture?.name);
  assert.match(elf?.interpreter ?? '', /^\/lib.*\/ld-linux/);
  assert.deepEqual([...(elf?.needed ?? [])].sort(), ['libc.so.6', 'libm.so.6']);
  assert.deepEqual([...(elf?.rpath ?? []), ...(elf?.runpath ?? [])], ['$ORIGIN/../lib', '/opt/lib']);
});

test('files for other processors are read in their width and byte order', async () => {
  for (const [name, machine, bits, bigEndian] of [
    ['aarch64', 183, 64, false],
    ['arm', 40, 32, false],
    ['i686', 3, 32, false],
    ['s390x', 22, 64, true],
    ['machine 2 of 32 bits, big endian', 2, 32, true],
  ] as const) {
    const needed = ['libone.so', 'libtwo.so.2'];
    const elf = await read(
      elfFile({ machine, bits, bigEndian, interpreter: '/lib/ld.so', needed, runpath: '/opt/lib' }),
    );
    assert.deepEqual(elf, {
      architecture: name,
      interpreter: '/lib/ld.so',
      needed,
      rpath: [],
      runpath: ['/opt/lib'],
    });
  }
});

test('what is no ELF file is null, and a broken one is an error that says so', async () => {
  assert.equal(await read(Buffer.from('#!/bin/sh\n')), null);
  assert.equal(await read(Buffer.alloc(0)), null);
  const good = elfFile({ machine: 62, interpreter: '/lib/ld.so', needed: ['libc.so'] });
  await assert.rejects(read(good.subarray(0, 40)), /head is cut off/);
  await assert.rejects(read(good.subarray(0, 100)), /table of segments is cut off/);
  const manySegments = Buffer.from(good);
  manySegments.writeUInt16LE(0xffff, 56);
  await assert.rejects(read(manySegments), /broken table of segments/);
  const elsewhere = Buffer.from(good);
  elsewhere.writeBigUInt64LE(0x7fffffffffffffffn, 64 + 56 + 8);
  await assert.rejects(read(elsewhere), /text that does not end/);
});

test('every single bit that is turned over is read or refused, in bounded time', async () => {
  const good = elfFile({ machine: 62, interpreter: '/lib/ld.so', needed: ['libc.so'], runpath: '/x' });
  let refused = 0;
  for (let bit = 4 * 8; bit < 240 * 8; bit += 3) {
    const spoiled = Buffer.from(good);
    spoiled[bit >> 3] = (spoiled[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    try {
      await read(spoiled);
    } catch (error) {
      assert.match(String(error), /Error: is an ELF file/);
      refused++;
    }
  }
  assert.ok(refused > 10, `${refused} refused`);
});

test('names of architectures: of the kernel, of Node, of Debian, and target triples', () => {
  const name = (text: string) => architectureNamed(text)?.name ?? null;
  assert.deepEqual(
    ['x64', 'amd64', 'arm64', 'aarch64-unknown-linux-musl', 'armv7-unknown-linux-gnueabihf', 'armhf', 'mips'].map(name),
    ['x86_64', 'x86_64', 'aarch64', 'aarch64', 'arm', 'arm', null],
  );
});
