// The wire between reconciler and launcher: frames of little-endian fields (native/launcher/wire.h is the other side).
import { createEncoder } from './encoder.ts';

/** What E_HELLO must say. */
export const WIRE_VERSION = 8;
/** Bytes before the body: u32 size of what follows, u16 type, u16 descriptors, u32 serial. */
export const FRAME_HEADER = 12;
/** The largest size field. */
export const FRAME_LIMIT = 262144;
/** Descriptors that may travel with one frame: more do not fit in one message (unix(7), SCM_RIGHTS). */
export const FRAME_FDS = 253;

/** The most operations of a list (native/launcher/sandbox/ops.h). */
export const OPS_LIMIT = 1024;

/** Types of frames from the reconciler. */
export const request = {
  prepare: 1,
  go: 2,
  kill: 3,
  forget: 4,
  record: 5,
  watch: 6,
  rearm: 7,
  unwatch: 8,
  deadline: 9,
  read: 10,
  keep: 11,
  drop: 12,
  ready: 13,
  trying: 14,
  stop: 15,
  nop: 16,
  sleep: 17,
  ending: 18,
  status: 19,
  lock: 20,
  join: 21,
  signal: 22,
  health: 23,
  accept: 24,
  prove: 32,
  takeover: 33,
  proven: 34,
} as const;

/** Types of frames from the launcher. */
export const event = {
  hello: 64,
  attempt: 65,
  global: 66,
  fd: 67,
  synced: 68,
  result: 69,
  output: 70,
  data: 71,
  watch: 72,
  deadline: 73,
  terminate: 74,
  ask: 75,
  left: 76,
} as const;

/** Bytes that do not follow the wire: what was expected and where. */
export class WireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WireError';
  }
}

/** A request that is over a limit of the launcher: which one is in the message. It was not sent. */
export class RequestTooLarge extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RequestTooLarge';
  }
}

/** Reads fields in order. Each throws WireError when the bytes end before it does. */
export interface Decoder {
  u8(): number;
  u16(): number;
  u32(): number;
  /** Throws as well when the value is beyond what a number holds exactly. */
  u64(): number;
  /** `size` bytes without a length before them. */
  raw(size: number): Uint8Array;
  /** A u32 length and so many bytes, copied. */
  bytes(): Uint8Array;
  /** The same as UTF-8; a NUL in it throws. */
  text(): string;
  /** Throws when something is left over. */
  end(): void;
}

/** A decoder over a frame's body. */
export function createDecoder(body: Uint8Array): Decoder {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;

  function take(size: number): number {
    if (buffer.length - at < size) throw new WireError(`${size} bytes expected at ${at} of ${buffer.length}`);
    const here = at;
    at += size;
    return here;
  }

  const decoder: Decoder = {
    u8: () => buffer.readUInt8(take(1)),
    u16: () => buffer.readUInt16LE(take(2)),
    u32: () => buffer.readUInt32LE(take(4)),
    u64() {
      const value = Number(buffer.readBigUInt64LE(take(8)));
      if (!Number.isSafeInteger(value)) throw new WireError(`${value} at ${at - 8} is too large`);
      return value;
    },
    raw(size) {
      const here = take(size);
      return Uint8Array.from(buffer.subarray(here, here + size));
    },
    bytes: () => decoder.raw(decoder.u32()),
    text() {
      const size = decoder.u32();
      const here = take(size);
      const text = buffer.toString('utf8', here, here + size);
      if (text.includes('\0')) throw new WireError(`a NUL in the text at ${here}`);
      return text;
    },
    end() {
      if (at !== buffer.length) throw new WireError(`${buffer.length - at} bytes left over at ${at}`);
    },
  };
  return decoder;
}

/** A whole frame. Throws RequestTooLarge when body or descriptors are over the limits. */
export function encodeFrame(type: number, serial: number, body: readonly Uint8Array[], fds = 0): Uint8Array {
  const size = body.reduce((sum, part) => sum + part.length, FRAME_HEADER - 4);
  if (size > FRAME_LIMIT) throw new RequestTooLarge(`a request of ${size} bytes is over the limit of ${FRAME_LIMIT}`);
  if (fds > FRAME_FDS) throw new RequestTooLarge(`a request with ${fds} descriptors is over the limit of ${FRAME_FDS}`);
  const header = createEncoder();
  header.u32(size);
  header.u16(type);
  header.u16(fds);
  header.u32(serial);
  return Buffer.concat([header.end(), ...body]);
}

export interface Frame {
  readonly type: number;
  readonly serial: number;
  readonly body: Uint8Array;
}

/**
 * Cuts a stream of bytes into frames. What it gives takes the next chunk and hands out every frame that it completes; it
 * throws WireError on a header out of bounds.
 */
export function createFrameReader(onFrame: (frame: Frame) => void): (chunk: Uint8Array) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest =
      rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength) : Buffer.concat([rest, chunk]);
    while (rest.length >= FRAME_HEADER) {
      const size = rest.readUInt32LE(0);
      if (size < FRAME_HEADER - 4 || size > FRAME_LIMIT) throw new WireError(`a frame of ${size} bytes`);
      if (rest.readUInt16LE(6) !== 0) throw new WireError('descriptors from the launcher');
      if (rest.length < size + 4) return;
      const frame = {
        type: rest.readUInt16LE(4),
        serial: rest.readUInt32LE(8),
        body: rest.subarray(FRAME_HEADER, size + 4),
      };
      rest = rest.subarray(size + 4);
      onFrame(frame);
    }
  };
}
