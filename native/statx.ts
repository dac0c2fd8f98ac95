// statx(2) where node:fs does not reach: the id of the mount that a path lies on.
import { declareSyscall, SyscallError } from './libc.ts';
import { syscallNumber } from './numbers.ts';

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const STATX_MNT_ID = 0x1000;
const STATX_ATTR_MOUNT_ROOT = 0x2000n;

// Offsets in struct statx, the same on every architecture.
const statxSize = 256;
const offsetOf = { attributes: 8, deviceMajor: 136, deviceMinor: 140, mountId: 144 } as const;

const statx = declareSyscall('statx', syscallNumber('statx', { x64: 332, arm64: 291 }), [
  'int',
  'str',
  'int',
  'unsigned int',
  'void *',
]);

const noSuchPath = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

/** The mount that stands on a path: its id as in /proc/self/mountinfo, and the device of its file system. */
export interface MountAt {
  readonly mountId: number;
  readonly major: number;
  readonly minor: number;
}

/** The topmost mount on exactly this path; null where nothing is mounted or there is no such path. Throws SyscallError. */
export function mountAt(path: string): MountAt | null {
  const buffer = Buffer.alloc(statxSize);
  try {
    statx(path, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, buffer);
  } catch (error) {
    if (error instanceof SyscallError && noSuchPath.has(error.code)) return null;
    throw error;
  }
  const attributes = buffer.readBigUInt64LE(offsetOf.attributes);
  if ((attributes & STATX_ATTR_MOUNT_ROOT) === 0n) return null;
  return {
    mountId: Number(buffer.readBigUInt64LE(offsetOf.mountId)),
    major: buffer.readUInt32LE(offsetOf.deviceMajor),
    minor: buffer.readUInt32LE(offsetOf.deviceMinor),
  };
}
