// What the document, the repositories and the mounts need of files beyond node:fs.
import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { declare, declareSyscall, SyscallError } from './libc.ts';
import { syscallNumber } from './numbers.ts';

const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;
// By number: musl has a wrapper for renameat2 only since 1.2.6.
const renameat2 = declareSyscall('renameat2', syscallNumber('renameat2', { x64: 316, arm64: 276 }), [
  'int',
  'str',
  'int',
  'str',
  'unsigned int',
]);

/**
 * Swaps two files in one step, so that neither name is ever missing (renameat2(2), RENAME_EXCHANGE). Throws SyscallError;
 * on a file system that cannot exchange, an Error that says so.
 */
export function exchange(from: string, to: string): void {
  try {
    renameat2(`${from} <-> ${to}`, AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE);
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'EINVAL') {
      throw new Error(`the file system of ${to} cannot exchange two files (renameat2 RENAME_EXCHANGE)`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** Makes the names in a directory survive a power cut: fsync(2) of the directory itself. */
export async function fsyncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Opens a regular file for reading. What else a path may name (a fifo, a terminal, a device) is refused, and never waited
 * for: open(2) of a fifo without a writer would hold a thread for ever. Rejects with node's error, or an Error that says so.
 */
export async function openRegular(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    if ((await file.stat()).isFile()) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  throw new Error(`${path} is no regular file`);
}

/** Which bytes a file holds, as far as stat(2) tells. Times in ms, with the fraction that node:fs gives. */
export interface Identity {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

/** The identity in what `stat` gives. */
export function identityOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): Identity {
  return { dev, ino, size, mtimeMs, ctimeMs };
}

/** Whether both are the same file with, as far as stat(2) tells, the same bytes. */
export function sameIdentity(one: Identity, other: Identity): boolean {
  return (
    one.dev === other.dev &&
    one.ino === other.ino &&
    one.size === other.size &&
    one.mtimeMs === other.mtimeMs &&
    one.ctimeMs === other.ctimeMs
  );
}

const LOCK_EX = 2;
const LOCK_NB = 4;
const flock = declare('flock', 'int', ['int', 'int']);

/** Locks an open file or directory for as long as any copy of the descriptor is open; false when somebody else holds it (flock(2)). Throws SyscallError. */
export function tryLock(fd: number, subject: string): boolean {
  try {
    flock(subject, fd, LOCK_EX | LOCK_NB);
    return true;
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'EAGAIN') return false;
    throw error;
  }
}
