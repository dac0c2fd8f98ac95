// /dev of a container: the nodes that its image has, else a file system with the usual ones.
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { SyscallError } from '../../native/libc.ts';
import type { Op } from '../../native/wire/ops.ts';
import { openWithin } from '../../native/openat2.ts';
import { deviceLinks, deviceNodes } from '../../state/names.ts';
import type { SandboxOp } from './specification.ts';

const S_IFDIR = 0o040000;
const S_IFCHR = 0o020000;
const S_IFREG = 0o100000;
const MOUNT_ATTR_RDONLY = 1;
const MOUNT_ATTR_NOSUID = 2;
const MOUNT_ATTR_NOEXEC = 8;

/** The operations that make `target` a /dev of its own, and those for after `pivot`. */
export function deviceOps({ image, target, links, socket }: Extract<SandboxOp, { op: 'devices' }>): {
  ops: Op[];
  late: Op[];
} {
  const made = deviceFileSystem(target, links);
  const paths = new Set(made.flatMap((op) => ('path' in op ? [op.path] : [])));
  const others = socket === undefined ? [] : besideNodes(image, target);
  const ops = [...made, ...others.filter(({ path }) => path !== socket && !paths.has(path))];
  // As little can be written to it as to nodes of an image: CAP_MKNOD makes none of its own there, and the socket stays.
  const readOnly: Op = { op: 'attributes', target, set: MOUNT_ATTR_RDONLY, clear: 0, recursive: false };
  return { ops, late: socket === undefined ? [readOnly] : [{ op: 'notify', name: socket }, readOnly] };
}

type BesideNode = Extract<Op, { op: 'node' | 'symlink' }>;

/** What an image has in its /dev besides nodes, where they are the usual ones: links, and what is mounted on, empty. */
function besideNodes(image: string, target: string): BesideNode[] {
  const fd = openDevices(image, target);
  if (fd === null) return [];
  try {
    const directory = `/proc/self/fd/${fd}`;
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry): BesideNode[] => {
      const path = posix.join(target, entry.name);
      if (entry.isSymbolicLink()) return [{ op: 'symlink', target: readlinkSync(`${directory}/${entry.name}`), path }];
      const mode = entry.isDirectory() ? S_IFDIR | 0o755 : entry.isFile() ? S_IFREG | 0o644 : null;
      return mode === null ? [] : [{ op: 'node', path, mode, major: 0, minor: 0 }];
    });
  } finally {
    closeSync(fd);
  }
}

/**
 * Opens (O_PATH) the /dev of the image that is mounted on `image`; null when it is not the usual one: what else an image
 * brings, a disk of the host perhaps, its manifest has no word for.
 */
export function openDevices(image: string, target: string): number | null {
  const root = openSync(image, constants.O_RDONLY | constants.O_DIRECTORY);
  let fd: number | null = null;
  try {
    fd = openWithin(root, target, `${target} in ${image}`);
    const usual = hasUsualNodes(`/proc/self/fd/${fd}`);
    if (!usual) closeSync(fd);
    return usual ? fd : null;
  } catch (error) {
    if (fd !== null) closeSync(fd);
    if (fd === null && error instanceof SyscallError && missing.has(error.code)) return null;
    throw error;
  } finally {
    closeSync(root);
  }
}

const missing = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);
/** By name; numbers as st_rdev has them (makedev(3)). */
const usualNodes = new Map<string, number>(deviceNodes.map(([name, major, minor]) => [name, (major << 8) | minor]));

/** All of the usual nodes and no other; links, files and empty directories are none. */
function hasUsualNodes(directory: string): boolean {
  const entries = readdirSync(directory, { withFileTypes: true });
  const names = new Set(entries.map(({ name }) => name));
  const isUsual = (entry: (typeof entries)[number]): boolean => {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) return readdirSync(path).length === 0;
    const number = usualNodes.get(entry.name);
    if (number !== undefined) return entry.isCharacterDevice() && lstatSync(path).rdev === number;
    return !entry.isCharacterDevice() && !entry.isBlockDevice();
  };
  return new Set(usualNodes.keys()).isSubsetOf(names) && entries.every(isUsual);
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
