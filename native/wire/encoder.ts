// Little-endian fields one after the other, as the launcher's wire has them.

export interface Encoder {
  u8(value: number): void;
  u16(value: number): void;
  u32(value: number): void;
  u64(value: bigint): void;
  /** A u32 length and the bytes. */
  bytes(value: Uint8Array): void;
  /** The bytes alone. */
  raw(value: Uint8Array): void;
  /** The same for what `write` writes. */
  framed(write: () => void): void;
  /** The same for a text, as UTF-8. Throws on a NUL, which C would take for the end. */
  text(value: string): void;
  /** A u32 count and the texts. */
  texts(values: readonly string[]): void;
  /** Everything written so far. */
  end(): Uint8Array;
}

/** An encoder that grows as it is written. `room` is what it has at first, in bytes. */
export function createEncoder(room = 1024): Encoder {
  // All of what is given has been written.
  let buffer = Buffer.allocUnsafe(room);
  let size = 0;

  /** Makes room; gives where it begins. */
  function take(length: number): number {
    const at = size;
    size += length;
    if (size > buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(2 * buffer.length, size));
      buffer.copy(grown, 0, 0, at);
      buffer = grown;
    }
    return at;
  }

  const encoder: Encoder = {
    u8(value) {
      const at = take(1);
      buffer.writeUInt8(value, at);
    },
    u16(value) {
      const at = take(2);
      buffer.writeUInt16LE(value, at);
    },
    u32(value) {
      const at = take(4);
      buffer.writeUInt32LE(value, at);
    },
    u64(value) {
      const at = take(8);
      buffer.writeBigUInt64LE(value, at);
    },
    bytes(value) {
      encoder.u32(value.length);
      encoder.raw(value);
    },
    raw(value) {
      const at = take(value.length);
      buffer.set(value, at);
    },
    framed(write) {
      const at = take(4);
      write();
      buffer.writeUInt32LE(size - at - 4, at);
    },
    text(value) {
      if (value.includes('\0')) throw new Error(`${JSON.stringify(value.slice(0, 64))} contains a NUL`);
      const length = Buffer.byteLength(value);
      encoder.u32(length);
      const at = take(length);
      buffer.write(value, at, length);
    },
    texts(values) {
      encoder.u32(values.length);
      for (const value of values) encoder.text(value);
    },
    end: () => buffer.subarray(0, size),
  };
  return encoder;
}
