// Sockets in the file system (unix(7)) of the kinds and with the settings that Node does not make.
import { closeSync, constants, openSync } from 'node:fs';
import { declare, declareSyscall, SyscallError } from './libc.ts';
import { syscallNumber } from './numbers.ts';

const AF_UNIX = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const O_PATH = 0x200000;
const F_DUPFD_CLOEXEC = 1030;
/** Connections that wait to be accepted. */
const backlog = 128;
/** Bytes of sun_path, the NUL at its end among them. */
const longestPath = 108;

const kinds = { stream: SOCK_STREAM, datagram: SOCK_DGRAM, seq_packet: SOCK_SEQPACKET } as const;
export type SocketKind = keyof typeof kinds;

const socket = declare('socket', 'int', ['int', 'int', 'int']);
const bind = declare('bind', 'int', ['int', 'void *', 'uint32_t']);
const listen = declare('listen', 'int', ['int', 'int']);
const connect = declare('connect', 'int', ['int', 'void *', 'uint32_t']);
const sendto = declare('sendto', 'long', ['int', 'void *', 'size_t', 'int', 'void *', 'uint32_t']);
const fcntl = declareSyscall('fcntl', syscallNumber('fcntl', { x64: 72, arm64: 25 }), ['int', 'int', 'int']);
const setsockopt = declare('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint32_t']);

/**
 * Makes a socket that is bound to a path (nothing may be there; the last component is not followed) and, unless it is one
 * of datagrams, listens. `passCredentials` is SO_PASSCRED. Gives its descriptor. Throws SyscallError, a RangeError for a
 * path of more than 107 bytes.
 */
export function bindSocket(kind: SocketKind, path: string, passCredentials: boolean): number {
  const fd = socket(path, AF_UNIX, kinds[kind] | SOCK_CLOEXEC, 0);
  try {
    if (passCredentials) setsockopt(path, fd, SOL_SOCKET, SO_PASSCRED, Buffer.from(new Int32Array([1]).buffer), 4);
    const address = addressOf(path);
    bind(path, fd, address, address.length);
    if (kind !== 'datagram') listen(path, fd, backlog);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Makes a stream socket that listens at a path, as bindSocket does, and never has whoever accepts there wait; `waiting` is how many
 * connections may wait to be accepted. Gives its descriptor. Throws SyscallError, a RangeError for a path of more than 107 bytes.
 */
export function bindListener(path: string, waiting: number): number {
  const fd = socket(path, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  try {
    const address = addressOf(path);
    bind(path, fd, address, address.length);
    listen(path, fd, waiting);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Whether a file is a socket that no process holds any more. The answer costs whoever does hold it nothing: a datagram
 * socket is connected to it, of which one of another kind hears nothing (EPROTOTYPE), and one of the same nothing either.
 * Throws SyscallError for what cannot be connected to for another reason.
 */
export function isAbandonedSocket(path: string): boolean {
  // By way of a descriptor: the path may be longer than an address takes, and a link is no socket.
  const file = openSync(path, O_PATH | constants.O_NOFOLLOW);
  const fd = socket(path, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    const address = addressOf(`/proc/self/fd/${file}`);
    connect(path, fd, address, address.length);
    return false;
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'ECONNREFUSED') return true;
    if (error instanceof SyscallError && error.code === 'EPROTOTYPE') return false;
    throw error;
  } finally {
    closeSync(fd);
    closeSync(file);
  }
}

/**
 * Gives a function that sends a datagram to a path, found anew each time, without waiting for room; it says whether it went
 * and throws SyscallError for any other reason than a full receiver (unix(7)).
 */
export function openDatagramSender(): (path: string, bytes: Uint8Array) => boolean {
  const fd = socket('datagram socket', AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return (path, bytes) => {
    const address = addressOf(path);
    try {
      sendto(path, fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
      return true;
    } catch (error) {
      if (error instanceof SyscallError && error.code === 'EAGAIN') return false;
      throw error;
    }
  };
}

/** Another descriptor of what one is open on, which no program that is executed has (fcntl(2)). Throws SyscallError. */
export function duplicate(fd: number, subject: string): number {
  return fcntl(subject, fd, F_DUPFD_CLOEXEC, 0);
}

/** struct sockaddr_un. */
function addressOf(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length >= longestPath) throw new RangeError(`${path} is longer than the 107 bytes of a socket's address`);
  return Buffer.concat([Buffer.from(new Uint16Array([AF_UNIX]).buffer), bytes, Buffer.alloc(1)]);
}
