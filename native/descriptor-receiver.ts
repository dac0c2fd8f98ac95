// Descriptors that come over a socket (unix(7), SCM_RIGHTS), one with each byte.
import { addressOf, declare, SyscallError } from './libc.ts';

const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

// struct msghdr, its one struct iovec, the byte and the control message, laid out as on every 64-bit Linux, little-endian.
const IOVEC_AT = 56;
const CONTROL_AT = IOVEC_AT + 16;
const CONTROL_SIZE = 24;
const DESCRIPTOR_AT = CONTROL_AT + 16;
const BYTE_AT = CONTROL_AT + CONTROL_SIZE;

const recvmsg = declare('recvmsg', 'long', ['int', 'void *', 'int']);

/** The next one, the caller's to close; null: none is there, or this process has no number left for it. Throws SyscallError. */
export function receiveDescriptor(socket: number): number | null {
  const message = Buffer.from(new ArrayBuffer(BYTE_AT + 8));
  const address = addressOf(message);
  message.writeBigUInt64LE(address + BigInt(IOVEC_AT), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(address + BigInt(CONTROL_AT), 32);
  message.writeBigUInt64LE(BigInt(CONTROL_SIZE), 40);
  message.writeBigUInt64LE(address + BigInt(BYTE_AT), IOVEC_AT);
  message.writeBigUInt64LE(1n, IOVEC_AT + 8);
  try {
    recvmsg('a descriptor', socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'EAGAIN') return null;
    throw error;
  }
  const isDescriptor =
    message.readBigUInt64LE(40) >= BigInt(CONTROL_SIZE - 4) &&
    message.readInt32LE(CONTROL_AT + 8) === SOL_SOCKET &&
    message.readInt32LE(CONTROL_AT + 12) === SCM_RIGHTS;
  return isDescriptor ? message.readInt32LE(DESCRIPTOR_AT) : null;
}
