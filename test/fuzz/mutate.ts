// Spoiling bytes: what coverage-guided fuzzers do to an input to come to the next one.
import type { Random } from '../sim/random.ts';

/** Inputs do not grow beyond it. */
const longest = 32 * 1024;
const numbers = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

type Mutation = (bytes: Buffer, random: Random) => Buffer;

/** A few changes of an input, one after the other; `others` are pieced together with it, `words` put into it. */
export function mutate(bytes: Buffer, random: Random, others: readonly Buffer[], words: readonly Buffer[]): Buffer {
  const mutations: readonly Mutation[] = [
    flipBit,
    setByte,
    setNumber,
    remove,
    repeat,
    (from) => insert(from, random, random.pick(words)),
    (from) => insert(from, random, random.pick(words)),
    (from) => splice(from, random, random.pick(others)),
  ];
  let changed: Buffer = Buffer.from(bytes);
  for (let left = 1 << random.between(0, 3); left > 0; left -= 1) changed = random.pick(mutations)(changed, random);
  return changed.subarray(0, longest);
}

/** Near the begin more often: what stands there decides what becomes of the rest. */
function place(bytes: Buffer, random: Random): number {
  return random.between(0, random.chance(0.3) ? Math.min(bytes.length, 16) : bytes.length);
}

/** The place of a byte that is there. */
function inside(bytes: Buffer, random: Random): number {
  return Math.min(place(bytes, random), bytes.length - 1);
}

function flipBit(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0) return bytes;
  const at = inside(bytes, random);
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.between(0, 7)), at);
  return bytes;
}

function setByte(bytes: Buffer, random: Random): Buffer {
  if (bytes.length > 0) bytes.writeUInt8(random.between(0, 255), inside(bytes, random));
  return bytes;
}

/** Little-endian, of two or four bytes, as archives have them. */
function setNumber(bytes: Buffer, random: Random): Buffer {
  const width = random.pick([2, 4]);
  if (bytes.length < width) return bytes;
  const value = random.pick(numbers) % 2 ** (8 * width);
  bytes.writeUIntLE(value, random.between(0, bytes.length - width), width);
  return bytes;
}

function remove(bytes: Buffer, random: Random): Buffer {
  const [from, to] = range(bytes, random);
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
}

function repeat(bytes: Buffer, random: Random): Buffer {
  const [from, to] = range(bytes, random);
  return insert(bytes, random, bytes.subarray(from, to));
}

function insert(bytes: Buffer, random: Random, piece: Buffer): Buffer {
  const at = place(bytes, random);
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
}

function splice(bytes: Buffer, random: Random, other: Buffer): Buffer {
  const [from, to] = range(other, random);
  const at = place(bytes, random);
  const until = random.chance(0.5) ? at : random.between(at, bytes.length);
  return Buffer.concat([bytes.subarray(0, at), other.subarray(from, to), bytes.subarray(until)]);
}

/** Short ones mostly. */
function range(bytes: Buffer, random: Random): [number, number] {
  const from = place(bytes, random);
  const most = random.chance(0.8) ? 16 : bytes.length;
  return [from, Math.min(bytes.length, from + random.between(0, most))];
}
