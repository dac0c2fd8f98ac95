// /dev of a container: the nodes that its image has, else a file system with the usual ones.
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { SyscallError } from '../native/libc.ts';
import type { Op } from '../native/ops.ts';
import { openWithin } from '../native/trees.ts';
import { deviceLinks, deviceNodes } from '../state/names.ts';

const S_IFDIR = 0o040000;
const S_IFCHR = 0o020000;
const MOUNT_ATTR_RDONLY = 1;
const MOUNT_ATTR_NOSUID = 2;
const MOUNT_ATTR_NOEXEC = 8;
/** major 1, minor 3 (makedev(3)). */
const nullDevice = 0x103;

/**
 * The operations that make `target` a /dev, and those for after `pivot`; none when the image that is mounted on `image` has
 * nodes there.
 */
export function deviceOps(image: string, target: string, withLinks: boolean): { ops: Op[]; late: Op[] } {
  if (hasNodes(image, target)) return { ops: [], late: [] };
  // As little can be written to it as to nodes of an image: CAP_MKNOD makes none of its own there.
  const late: Op[] = [{ op: 'attributes', target, set: MOUNT_ATTR_RDONLY, clear: 0, recursive: false }];
  return { ops: deviceFileSystem(target, withLinks), late };
}

function hasNodes(image: string, target: string): boolean {
  const root = openSync(image, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const fd = openWithin(root, `${target}/null`, `${target}/null in ${image}`);
    try {
      const stats = fstatSync(fd);
      return stats.isCharacterDevice() && stats.rdev === nullDevice;
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof SyscallError && ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(error.code)) return false;
    throw error;
  } finally {
    closeSync(root);
  }
}

function deviceFileSystem(target: string, withLinks: boolean): Op[] {
  const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  return [
    { op: 'filesystem', type: 'tmpfs', target, attributes, options: ['mode=0755', 'size=64k'] },
    ...deviceNodes.map(([name, major, minor]): Op => {
      return { op: 'node', path: `${target}/${name}`, mode: S_IFCHR | 0o666, major, minor };
    }),
    { op: 'node', path: `${target}/pts`, mode: S_IFDIR | 0o755, major: 0, minor: 0 },
    { op: 'filesystem', type: 'devpts', target: `${target}/pts`, attributes, options: ['ptmxmode=0666', 'mode=0620'] },
    { op: 'symlink', target: 'pts/ptmx', path: `${target}/ptmx` },
    ...(withLinks ? deviceLinks : []).map(([name, to]): Op => ({
      op: 'symlink',
      target: to,
      path: `${target}/${name}`,
    })),
  ];
}
