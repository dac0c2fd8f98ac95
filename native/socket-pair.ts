// One end of a socket pair (socketpair(2)) read and written so that the kernel itself holds how far that is: whoever is
// killed between any two of these calls leaves a successor that knows. Reading takes two steps, `peek` and `take`, and the
// socket's SO_PEEK_OFF (socket(7)) tells between them. Writing goes from a file by sendfile(2), whose position moves along.
import { closeSync } from 'node:fs';
import { declare, declareUnlessBusy } from './libc.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEEK_OFF = 42;
const FIONREAD = 0x541b;
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;
const F_SETFL = 4;
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const SEEK_SET = 0;
const SEEK_CUR = 1;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

const socketpair = declare('socketpair', 'int', ['int', 'int', 'int', 'void *']);
const setsockopt = declare('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint32_t']);
const getsockopt = declare('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']);
// Declared with three arguments though variadic: on x86-64 and AArch64 Linux both pass them in the same registers.
const fcntl = declare('fcntl', 'int', ['int', 'int', 'int']);
const recv = declareUnlessBusy('recv', 'long', ['int', 'void *', 'size_t', 'int']);
const sendfile = declareUnlessBusy('sendfile', 'long', ['int', 'int', 'void *', 'size_t']);
const ioctl = declare('ioctl', 'int', ['int', 'unsigned long', 'void *']);
const pwrite = declare('pwrite', 'long', ['int', 'void *', 'size_t', 'int64_t']);
const lseek = declare('lseek', 'long', ['int', 'int64_t', 'int']);
const fallocate = declare('fallocate', 'int', ['int', 'int', 'int64_t', 'int64_t']);

/** What nobody reads. */
const scratch = Buffer.allocUnsafe(64 * 1024);

/** A connected pair of streams: `ours` never blocks and is set up for `peek`. Both are the caller's to close. Throws SyscallError. */
export function createSocketPair(): { readonly ours: number; readonly theirs: number } {
  const pair = new Int32Array(2);
  socketpair('AF_UNIX', AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  const [ours = -1, theirs = -1] = pair;
  try {
    fcntl('O_NONBLOCK', ours, F_SETFL, O_RDWR | O_NONBLOCK);
    setPeeked(ours, 0);
    return { ours, theirs };
  } catch (error) {
    closeSync(ours);
    closeSync(theirs);
    throw error;
  }
}

/** Bytes that were peeked at and not taken yet. Throws SyscallError. */
export function peeked(socket: number): number {
  const value = new Int32Array(1);
  getsockopt('SO_PEEK_OFF', socket, SOL_SOCKET, SO_PEEK_OFF, value, new Int32Array([4]));
  return value[0] ?? 0;
}

/** 0 makes the next peek begin with what comes first. Throws SyscallError. */
export function setPeeked(socket: number, bytes: number): void {
  setsockopt('SO_PEEK_OFF', socket, SOL_SOCKET, SO_PEEK_OFF, new Int32Array([bytes]), 4);
}

/** Reads without taking; gives the number of bytes, 0 at the end of the stream, null when there is nothing yet. Throws SyscallError. */
export function peek(socket: number, into: Uint8Array): number | null {
  return recv('peek', socket, into, into.length, MSG_PEEK | MSG_DONTWAIT);
}

/** Bytes that could be peeked at or taken now; 0 also at the end of the stream. Throws SyscallError. */
export function available(socket: number): number {
  const value = new Int32Array(1);
  ioctl('FIONREAD', socket, FIONREAD, value);
  return value[0] ?? 0;
}

/** Takes as many bytes as were peeked at, and throws them away. Throws SyscallError. */
export function take(socket: number, bytes: number): void {
  for (let left = bytes; left > 0;) {
    const taken = recv('take', socket, scratch, Math.min(left, scratch.length), MSG_DONTWAIT);
    if (taken === null || taken === 0) return;
    left -= taken;
  }
}

/** Takes what fills a buffer, which was there. Throws SyscallError. */
export function takeInto(socket: number, into: Uint8Array): void {
  for (let done = 0; done < into.length;) {
    const taken = recv('take', socket, into.subarray(done), into.length - done, MSG_DONTWAIT);
    if (taken === null || taken === 0) return;
    done += taken;
  }
}

/**
 * Sends up to `bytes` from the file's position on, which moves by what was sent; null when the socket has no room. The pages
 * themselves may travel: the range must not be written again. Throws SyscallError, EPIPE when nobody reads any more.
 */
export function sendFromFile(socket: number, file: number, bytes: number): number | null {
  return sendfile('send', socket, file, null, bytes);
}

/** Writes at a place of a file in memory, for what is written at every request; gives how much was. Throws SyscallError. */
export function putAt(file: number, bytes: Uint8Array, position: number): number {
  return pwrite('a file in memory', file, bytes, bytes.length, position);
}

/** The position of a file, which all its descriptors share, those of other processes too. Throws SyscallError. */
export function positionOf(file: number): number {
  return lseek('position', file, 0, SEEK_CUR);
}

/** Sets that position. Throws SyscallError. */
export function setPosition(file: number, position: number): void {
  lseek('position', file, position, SEEK_SET);
}

/** Gives back the memory of a range of whole pages of a file in memory. Throws SyscallError. */
export function punchHole(file: number, from: number, to: number): void {
  fallocate('punch', file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from);
}
