// Flags of files as chattr(1) sets them (ioctl_iflags(2)), so far as they forbid that a file is deleted or moved.
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { declare } from './libc.ts';
import { openEntryIn } from './openat2.ts';
import { errnoOf } from '../state/errno.ts';

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
/** FS_IMMUTABLE_FL and FS_APPEND_FL. */
const forbidding = 0x10 | 0x20;
const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;

const ioctl = declare('ioctl', 'int', ['int', 'unsigned long', 'void *']);

/** Takes these flags away from what is open. Whether it had any. */
function allow(fd: number, subject: string): boolean {
  const flags = new Int32Array(2);
  ioctl(subject, fd, FS_IOC_GETFLAGS, flags);
  const [before = 0] = flags;
  if ((before & forbidding) === 0) return false;
  flags[0] = before & ~forbidding;
  ioctl(subject, fd, FS_IOC_SETFLAGS, flags);
  return true;
}

/**
 * Takes immutable and append-only away from a directory and from what has a name in it, a file or a directory that is not followed
 * anywhere: a container with CAP_LINUX_IMMUTABLE can set them, and its data goes all the same. Whether anything has changed.
 */
export function allowRemoval(directory: number, name: string | Buffer, subject: string): boolean {
  let changed = false;
  try {
    changed = allow(directory, subject);
    const there = openEntryIn(directory, name, subject);
    try {
      const is = fstatSync(there);
      if (!is.isFile() && !is.isDirectory()) return changed;
      // The very same: what has the name meanwhile may be a device.
      const opened = openSync(`/proc/self/fd/${there}`, O_RDONLY | O_NONBLOCK | O_NOCTTY);
      try {
        return allow(opened, subject) || changed;
      } finally {
        closeSync(opened);
      }
    } finally {
      closeSync(there);
    }
  } catch (error) {
    // The file system has no flags, or nothing has the name any more: whoever wants it removed has the reason already.
    if (errnoOf(error) === null) throw error;
    return changed;
  }
}

/** Does what a flag forbids (EPERM) once more without it. */
export async function despiteFlags<T>(
  directory: number,
  name: string | Buffer,
  subject: string,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (errnoOf(error) !== 'EPERM' || !allowRemoval(directory, name, subject)) throw error;
    return await act();
  }
}
