// Opening a block device by its numbers, whether or not /dev has a node for it.
import { closeSync, constants, openSync } from 'node:fs';
import { declareSyscall } from './libc.ts';
import { syscallNumber } from './numbers.ts';

const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
const S_IFBLK = 0o060000;

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

/** An open block device and a path that opens it as long as it is not closed. */
export interface BlockDevice {
  readonly fd: number;
  readonly path: string;
  close(): void;
}

/** Opens a block device read-only: /dev/NAME, or a node of our own where /dev has none. Throws the error of open(2). */
export function openBlockDevice(name: string, major: number, minor: number): BlockDevice {
  try {
    return openNode(`/dev/${name}`);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const directory = privateDirectory();
  try {
    mknodat(`${name} ${major}:${minor}`, directory, name, S_IFBLK | 0o600, deviceNumber(major, minor));
    const device = openNode(`/proc/self/fd/${directory}/${name}`);
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

function openNode(path: string): BlockDevice {
  const fd = openSync(path, constants.O_RDONLY);
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
