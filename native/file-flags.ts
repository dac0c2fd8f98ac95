// Flags of files as chattr(1) sets them (ioctl_iflags(2)), so far as they forbid that a file is deleted or moved.
import { closeSync, constants, fstatSync, openSync, readlinkSync } from 'node:fs';
import { declare } from './libc.ts';
import { openEntryIn } from './openat2.ts';
import { errnoOf, messageOf } from '../state/errno.ts';

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
/** FS_IMMUTABLE_FL and FS_APPEND_FL. */
const FS_IMMUTABLE = 0x10;
const FS_APPEND = 0x20;
const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;

const ioctl = declare('ioctl', 'int', ['int', 'unsigned long', 'void *']);

/** Takes these flags away from what is open. Whether it had any. */
function allow(fd: number, subject: string): boolean {
  const flags = new Int32Array(2);
  ioctl(subject, fd, FS_IOC_GETFLAGS, flags);
  const [before = 0] = flags;
  if ((before & (FS_IMMUTABLE | FS_APPEND)) === 0) return false;
  flags[0] = before & ~(FS_IMMUTABLE | FS_APPEND);
  ioctl(subject, fd, FS_IOC_SETFLAGS, flags);
  return true;
}

/** Whether what is open is immutable or append-only. Throws SyscallError where its file system has no flags. */
function forbids(fd: number, subject: string): 'immutable' | 'append-only' | null {
  const flags = new Int32Array(2);
  ioctl(subject, fd, FS_IOC_GETFLAGS, flags);
  const [set = 0] = flags;
  if ((set & FS_IMMUTABLE) !== 0) return 'immutable';
  return (set & FS_APPEND) === 0 ? null : 'append-only';
}

/** Takes these flags away from what has a name, a file or a directory that is not followed anywhere. Whether it had any. */
function allowNamed(directory: number, name: string | Buffer, subject: string): boolean {
  const there = openEntryIn(directory, name, subject);
  try {
    const is = fstatSync(there);
    if (!is.isFile() && !is.isDirectory()) return false;
    // The very same: what has the name meanwhile may be a device.
    const opened = openSync(`/proc/self/fd/${there}`, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    try {
      return allow(opened, subject);
    } finally {
      closeSync(opened);
    }
  } finally {
    closeSync(there);
  }
}

/**
 * Does what a flag forbids (EPERM) once more without it. The directory is one that goes as well: a container with
 * CAP_LINUX_IMMUTABLE can set flags there, and its data goes all the same.
 */
export function despiteFlags<T>(
  directory: number,
  name: string | Buffer,
  subject: string,
  act: () => Promise<T>,
): Promise<T> {
  return despite(act, () => {
    const above = ifThereAre(() => allow(directory, subject), false);
    return ifThereAre(() => allowNamed(directory, name, subject), false) || above;
  });
}

/**
 * The same where the directory stays, which no container can have set flags of: they are left, and the error says that it is they,
 * and what to do.
 */
export function despiteOwnFlags<T>(
  directory: number,
  name: string | Buffer,
  subject: string,
  act: () => Promise<T>,
): Promise<T> {
  return despite(act, (error) => {
    const forbidding = ifThereAre(() => forbids(directory, subject), null);
    if (forbidding === null) return ifThereAre(() => allowNamed(directory, name, subject), false);
    const path = ifThereAre(() => readlinkSync(`/proc/self/fd/${directory}`), subject);
    const remedy = `chattr -${forbidding === 'immutable' ? 'i' : 'a'} ${path}`;
    throw new Error(`${messageOf(error)}: the directory ${path} is ${forbidding}; allow it with: ${remedy}`, {
      cause: error,
    });
  });
}

async function despite<T>(act: () => Promise<T>, allowed: (error: unknown) => boolean): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (errnoOf(error) !== 'EPERM' || !allowed(error)) throw error;
    return await act();
  }
}

/** The file system may have no flags, or nothing the name any more: whoever wants it removed has the reason already. */
function ifThereAre<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return otherwise;
  }
}
