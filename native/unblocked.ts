// Writing to a descriptor that others hold as well, without waiting for who reads it.
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { declare, SyscallError } from './libc.ts';
import { hasErrno } from '../state/errno.ts';

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const send = declare('send', 'long', ['int', 'void *', 'size_t', 'int']);

/**
 * Gives a function that writes as much as there is room for, and says how many bytes that was: 0 = nothing. It throws what
 * the system says when nobody can read any more. O_NONBLOCK on the descriptor itself would be that of all who share it, so a
 * pipe and a terminal are opened once more (fifo(7)); a file never makes wait.
 */
export function createUnblockedWriter(fd: number): (bytes: Uint8Array) => number {
  const stats = fstatSync(fd);
  if (stats.isSocket())
    return (bytes) => orNothing(() => send(`descriptor ${fd}`, fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL));
  const own = stats.isFIFO() || stats.isCharacterDevice() ? reopened(fd) : fd;
  return (bytes) => orNothing(() => writeSync(own, bytes));
}

/** Where that is refused (a pipe of another user, or one without a reader), the descriptor as it is. */
function reopened(fd: number): number {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return fd;
  }
}

function orNothing(write: () => number): number {
  try {
    return write();
  } catch (error) {
    const full = error instanceof SyscallError ? error.code === 'EAGAIN' : hasErrno(error, 'EAGAIN');
    if (full) return 0;
    throw error;
  }
}
