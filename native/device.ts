// Opening a device by its numbers, whether or not /dev has a node for it.
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { basename } from 'node:path';
import { declareSyscall } from './libc.ts';
import { syscallNumber } from './numbers.ts';
import { hasErrno } from '../state/errno.ts';

const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
const S_IFBLK = 0o060000;
const S_IFCHR = 0o020000;

const fsopen = declareSyscall('fsopen', 430, ['str', 'unsigned int']);
const fsconfig = declareSyscall('fsconfig', 431, ['int', 'unsigned int', 'str', 'void *', 'int']);
const fsmount = declareSyscall('fsmount', 432, ['int', 'unsigned int', 'unsigned int']);
// By number: glibc exports mknodat only since 2.33.
const mknodat = declareSyscall('mknodat', syscallNumber('mknodat', { x64: 259, arm64: 33 }), [
  'int',
  'str',
  'unsigned int',
  'unsigned int',
]);

/** An open device and a path that opens it as long as it is not closed. */
export interface Device {
  readonly fd: number;
  readonly path: string;
  close(): void;
}

/** Opens a block device read-only: /dev/NAME, or a node of our own where /dev has none. Throws the error of open(2). */
export function openBlockDevice(name: string, major: number, minor: number): Device {
  return openDevice(name, S_IFBLK, major, minor, constants.O_RDONLY);
}

/** The same for a character device, open for reading and writing. Throws the error of open(2): ENXIO, ENODEV without a driver. */
export function openCharacterDevice(name: string, major: number, minor: number): Device {
  return openDevice(name, S_IFCHR, major, minor, constants.O_RDWR);
}

function openDevice(name: string, type: number, major: number, minor: number, flags: number): Device {
  try {
    const device = openNode(`/dev/${name}`, flags);
    if (fstatSync(device.fd).rdev === deviceNumber(major, minor)) return device;
    device.close(); // left over from another device that had this name
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
  }
  const directory = privateDirectory();
  try {
    const node = basename(name);
    mknodat(`${name} ${major}:${minor}`, directory, node, type | 0o600, deviceNumber(major, minor));
    const device = openNode(`/proc/self/fd/${directory}/${node}`, flags);
    const close = () => {
      device.close();
      closeSync(directory);
    };
    return { ...device, close };
  } catch (error) {
    closeSync(directory);
    throw error;
  }
}

function openNode(path: string, flags: number): Device {
  const fd = openSync(path, flags);
  return { fd, path, close: () => closeSync(fd) };
}

/**
 * A tmpfs that is mounted nowhere: nobody else sees the nodes in it, it is never nodev (as /run often is), and it is gone
 * with its descriptor.
 */
function privateDirectory(): number {
  const context = fsopen('tmpfs', 'tmpfs', FSOPEN_CLOEXEC);
  try {
    fsconfig('tmpfs create', context, FSCONFIG_CMD_CREATE, null, null, 0);
    return fsmount('tmpfs', context, FSMOUNT_CLOEXEC, 0);
  } finally {
    closeSync(context);
  }
}

/** The kernel's encoding of a device number in 32 bits (makedev(3) gives the same for these). */
function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
