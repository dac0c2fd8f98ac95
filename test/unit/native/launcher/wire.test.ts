// The launcher's wire: both sides read and write the same vectors; the C side runs under the sanitizers.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createEncoder, type Encoder } from '../../../../native/wire/encoder.ts';
import {
  createDecoder,
  createFrameReader,
  encodeFrame,
  FRAME_FDS,
  FRAME_LIMIT,
  WireError,
  RequestTooLarge,
} from '../../../../native/wire/wire.ts';
import type { Decoder, Frame } from '../../../../native/wire/wire.ts';

const launcher = join(import.meta.dirname, '../../../../native/launcher');
const vectors = readFileSync(join(import.meta.dirname, 'vectors.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

const hex = (text: string): Buffer => Buffer.from(text === '-' ? '' : text, 'hex');
const show = (value: number | string | Uint8Array): string =>
  typeof value === 'number' ? `${value}` : Buffer.from(value as string).toString('hex') || '-';

/** How each field is read, and what was read is written again. */
const fields: Record<string, (from: Decoder, to: Encoder) => string> = {
  u8: (from, to) => number(from.u8(), (value) => to.u8(value)),
  u16: (from, to) => number(from.u16(), (value) => to.u16(value)),
  u32: (from, to) => number(from.u32(), (value) => to.u32(value)),
  u64: (from, to) => number(from.u64(), (value) => to.u64(BigInt(value))),
  bytes(from, to) {
    const bytes = from.bytes();
    to.bytes(bytes);
    return show(bytes);
  },
  text(from, to) {
    const text = from.text();
    to.text(text);
    return show(text);
  },
};

function number(value: number, write: (value: number) => void): string {
  write(value);
  return show(value);
}

for (const vector of vectors) {
  test(`reads and writes ${vector}`, () => {
    const [names = '', bytes = '', expected = ''] = vector.split(' | ');
    const from = createDecoder(hex(bytes));
    const to = createEncoder();
    const read = (): string[] => {
      const values = names.split(' ').map((name) => fields[name]?.(from, to) ?? `no field ${name}`);
      from.end();
      return values;
    };
    const failure = { short: /bytes expected/, rest: /left over/, nul: /a NUL/ }[expected];
    if (failure) {
      assert.throws(read, (error) => error instanceof WireError && failure.test(error.message));
    } else {
      assert.equal(read().join(' '), expected);
      assert.deepEqual(to.end(), hex(bytes));
    }
  });
}

/** Compiles a C test with the launcher's sources under the sanitizers and gives what it prints. */
function runC(program: string, sources: string[], input: string, ...more: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-wire-'));
  const output = join(directory, 'test');
  const flags = '-std=c17 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover'.split(' ');
  try {
    const files = [join(import.meta.dirname, program), ...sources.map((name) => join(launcher, name))];
    execFileSync(process.env['CC'] ?? 'cc', [...flags, ...more, '-o', output, ...files]);
    return execFileSync(output, { input, encoding: 'utf8' });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('reads and writes the same vectors in C, and nothing outside of its buffers', () => {
  assert.equal(runC('wire-vectors.c', ['wire.c'], vectors.join('\n')), `${vectors.length}\n`);
});

test('takes frames of up to the limit in C, and refuses each that is longer by up to eight bytes', () => {
  assert.equal(runC('frame-bounds.c', ['core/frames.c', 'memory.c', 'wire.c'], ''), '');
});

test('tells of a watch that cannot be rearmed', () => {
  assert.equal(runC('watch-rearm.c', ['core/watches.c', 'core/sources.c', 'failure.c', 'memory.c'], ''), '');
});

test('keeps the newest whole records in a ring of any size', () => {
  assert.equal(runC('ring-records.c', ['core/ring.c', 'memory.c', 'wire.c'], ''), '');
});

test('reads a mount table in C: paths in the clear, what is shared, and no line that is cut off', () => {
  const long = `/${'x'.repeat(2999)}`;
  const table = [
    '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
    '28 27 0:25 / /mnt/a\\040b\\134c rw shared:7 master:1 - tmpfs tmpfs rw',
    '29 27 254:0 /sub /d\\040 ro,nosuid master:1 - ext4 /dev/vda rw',
    '30 27 0:3 net:[4026532] /x rw - nsfs nsfs rw',
    `31 27 0:4 / ${long} rw - tmpfs tmpfs rw`,
    '32 27 0:5 /',
  ];
  assert.deepEqual(runC('mount-lines.c', ['core/mount-table.c', 'memory.c'], table.join('\n')).split('\n'), [
    '27 254:0 "/" short as the first',
    '28 0:25 "/mnt/a b\\c" shared',
    '29 254:0 "/d " short as the first',
    '30 0:3 "/x" short',
    `31 0:4 "${long}"`,
    '',
  ]);
  assert.equal(runC('mount-lines.c', ['core/mount-table.c', 'memory.c'], ''), '');
});

test('refuses a number beyond the exact ones', () => {
  assert.throws(() => createDecoder(hex('ffffffffffffffff')).u64(), /too large/);
});

test('cuts frames out of a stream, however it is split', () => {
  const frames = [
    encodeFrame(64, 1, [hex('01')]),
    encodeFrame(65, 2, []),
    encodeFrame(66, 3, [hex('0203'), hex('04')]),
  ];
  const stream = Buffer.concat(frames);
  for (let size = 1; size <= stream.length; size++) {
    const got: Frame[] = [];
    const read = createFrameReader((frame) => got.push(frame));
    for (let at = 0; at < stream.length; at += size) read(stream.subarray(at, at + size));
    assert.deepEqual(
      got.map(({ type, serial, body }) => [type, serial, show(body)]),
      [
        [64, 1, '01'],
        [65, 2, '-'],
        [66, 3, '020304'],
      ],
    );
  }
});

/** The header of a frame whose size field is this. */
function headerOf(size: number): Buffer {
  const header = Buffer.from('000000004000000001000000', 'hex');
  header.writeUInt32LE(size, 0);
  return header;
}

test('takes a frame of exactly the limit, and refuses each that is longer by up to eight bytes', () => {
  const body = Buffer.alloc(FRAME_LIMIT - 8);
  const got: Frame[] = [];
  createFrameReader((frame) => got.push(frame))(encodeFrame(64, 1, [body]));
  assert.deepEqual(
    got.map((frame) => frame.body.length),
    [body.length],
  );
  for (let over = 1; over <= 8; over++) {
    assert.throws(() => encodeFrame(64, 1, [body, Buffer.alloc(over)]), /over the limit/);
    assert.throws(() => createFrameReader(() => assert.fail('a frame'))(headerOf(FRAME_LIMIT + over)), /a frame of/);
  }
});

test('refuses frames that are too small, too large or bring descriptors', () => {
  const read = () => createFrameReader(() => assert.fail('a frame'));
  assert.throws(() => read()(hex('070000004000000001000000')), WireError);
  assert.throws(() => read()(hex('010004004000000001000000')), WireError);
  assert.throws(() => read()(hex('080000004000010001000000')), WireError);
  assert.throws(() => encodeFrame(1, 1, [Buffer.alloc(FRAME_LIMIT)]), RequestTooLarge);
  assert.throws(() => encodeFrame(1, 1, [], FRAME_FDS + 1), RequestTooLarge);
});

test('pages of 64 kB: a removed attempt leaves nothing, and its neighbour loses nothing', () => {
  const sources = ['core/attempts.c', 'core/ring.c', 'failure.c', 'memory.c', 'wire.c'];
  assert.equal(runC('large-pages.c', sources, '', '-Wl,--wrap=madvise', '-Wno-missing-declarations'), '');
});
