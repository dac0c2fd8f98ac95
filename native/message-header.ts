// One struct msghdr with a struct iovec and a control message for descriptors (recvmsg(2), cmsg(3), unix(7)), in one piece of memory.
import { addressOf } from './libc.ts';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

// Laid out as on every 64-bit Linux, little-endian: sizes and pointers have 8 bytes.
const IOVEC_POINTER = 16;
const IOVEC_COUNT = 24;
const CONTROL_POINTER = 32;
const CONTROL_SIZE = 40;
const IOVEC_AT = 56;
const CONTROL_AT = IOVEC_AT + 16;
const CONTROL_HEADER = 16;

export interface MessageHeader {
  /** As sendmsg(2) and recvmsg(2) take it. */
  readonly memory: Uint8Array;
  /** The bytes that it is of; they must stay where they are until the call is over. */
  setBytes(bytes: Uint8Array): void;
  /** The descriptors that go along. */
  setDescriptors(descriptors: readonly number[]): void;
  /** Makes room for one byte, which is nobody's, and for one descriptor that comes along. */
  expectDescriptor(): void;
  /** The one that came; null = none did. */
  descriptor(): number | null;
}

/** Has room for so many descriptors. */
export function createMessageHeader(mostDescriptors: number): MessageHeader {
  // CMSG_SPACE: what is behind it is aligned.
  const byteAt = CONTROL_AT + CONTROL_HEADER + Math.ceil(mostDescriptors / 2) * 8;
  const memory = Buffer.from(new ArrayBuffer(byteAt + 8));
  const address = addressOf(memory);
  memory.writeBigUInt64LE(address + BigInt(IOVEC_AT), IOVEC_POINTER);
  memory.writeBigUInt64LE(1n, IOVEC_COUNT);

  function setVector(at: bigint, size: number): void {
    memory.writeBigUInt64LE(at, IOVEC_AT);
    memory.writeBigUInt64LE(BigInt(size), IOVEC_AT + 8);
  }

  function setControl(size: number): void {
    memory.writeBigUInt64LE(size === 0 ? 0n : address + BigInt(CONTROL_AT), CONTROL_POINTER);
    memory.writeBigUInt64LE(BigInt(size), CONTROL_SIZE);
  }

  return {
    memory,
    setBytes(bytes) {
      setVector(addressOf(bytes), bytes.length);
    },
    setDescriptors(descriptors) {
      const size = descriptors.length === 0 ? 0 : CONTROL_HEADER + descriptors.length * 4;
      setControl(size);
      memory.writeBigUInt64LE(BigInt(size), CONTROL_AT);
      memory.writeInt32LE(SOL_SOCKET, CONTROL_AT + 8);
      memory.writeInt32LE(SCM_RIGHTS, CONTROL_AT + 12);
      descriptors.forEach((descriptor, index) =>
        memory.writeInt32LE(descriptor, CONTROL_AT + CONTROL_HEADER + index * 4),
      );
    },
    expectDescriptor() {
      setVector(address + BigInt(byteAt), 1);
      setControl(CONTROL_HEADER + 8);
    },
    descriptor() {
      const came =
        memory.readBigUInt64LE(CONTROL_SIZE) >= BigInt(CONTROL_HEADER + 4) &&
        memory.readInt32LE(CONTROL_AT + 8) === SOL_SOCKET &&
        memory.readInt32LE(CONTROL_AT + 12) === SCM_RIGHTS;
      return came ? memory.readInt32LE(CONTROL_AT + CONTROL_HEADER) : null;
    },
  };
}
