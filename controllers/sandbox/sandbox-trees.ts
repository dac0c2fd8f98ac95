// Opens the trees that a sandbox is put together from.
import { closeSync, constants, openSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SyscallError } from '../../native/libc.ts';
import { parseMountTable } from '../../native/mounts-table.ts';
import type { Op } from '../../native/wire/ops.ts';
import { openWithin } from '../../native/openat2.ts';
import { openTree, openTreeOf, setTreeAttributes } from '../../native/trees.ts';
import { openBindSource } from './bind-source.ts';
import { openPersist } from './persist.ts';
import { openDevices } from './sandbox-devices.ts';
import { TerminalError } from '../failure.ts';
import { treeAttributes, type TreeSource, type TreeFlags } from './specification.ts';

/** A detached tree, and what is still to be done to it once it is in place. */
export interface OpenedTree {
  readonly fd: number;
  /** Operations for after `pivot`: only where the kernel cannot set flags of a detached tree. */
  readonly late: readonly Op[];
}

/**
 * Opens a tree and gives it its flags; `target` is where it will be. null when it is a bind whose host path is missing, or an
 * image without device nodes.
 * Throws TerminalError for a resource without the directory, SyscallError.
 */
export function openSource(source: TreeSource, flags: TreeFlags, target: string): OpenedTree | null {
  const tree = openTreeOfSource(source, flags.recursive);
  if (tree === null) return null;
  const { fd, path } = tree;
  try {
    const set = treeAttributes(flags);
    const done = setTreeAttributes(fd, set, flags.recursive, path);
    return { fd, late: done || set === 0 ? [] : lateAttributes(path, set, flags.recursive, target) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** `path` is where it was found, without links. */
function openTreeOfSource(
  source: TreeSource,
  recursive: boolean,
): { readonly fd: number; readonly path: string } | null {
  if (source.kind === 'bind') {
    const place = unlessMissing(() => openBindSource(source.path));
    if (place === null) return null;
    return withDescriptor(place, (fd) => {
      return { fd: openTreeOf(fd, source.path, recursive), path: readlinkSync(`/proc/self/fd/${fd}`) };
    });
  }
  const fd = openOwnTree(source, recursive);
  return fd === null ? null : { fd, path: source.path };
}

function openOwnTree(source: Exclude<TreeSource, { kind: 'bind' }>, recursive: boolean): number | null {
  switch (source.kind) {
    case 'image':
    case 'sockets':
      return openTree(source.path, recursive);
    case 'devices': {
      const place = openDevices(source.path, source.dir);
      const subject = `${source.dir} in ${source.path}`;
      return place === null ? null : withDescriptor(place, (fd) => openTreeOf(fd, subject, false));
    }
    case 'persist':
      return withDescriptor(openPersist(source.path), (fd) => openTreeOf(fd, source.path, false));
    case 'resource': {
      const root = openSync(source.path, constants.O_RDONLY | constants.O_DIRECTORY);
      const place = withDescriptor(root, () => openResource(root, source));
      return withDescriptor(place, (fd) => openTreeOf(fd, `${source.dir} in ${source.id}`, false));
    }
  }
}

function openResource(root: number, { dir, id }: Extract<TreeSource, { kind: 'resource' }>): number {
  const place = unlessMissing(() => openWithin(root, dir, `${dir} in ${id}`));
  if (place !== null) return place;
  throw new TerminalError('MissingResource', `the resource ${id} has no directory ${dir}`, { subject: id });
}

function unlessMissing(open: () => number): number | null {
  try {
    return open();
  } catch (error) {
    if (error instanceof SyscallError && ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(error.code)) return null;
    throw error;
  }
}

function withDescriptor<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** Linux before 5.12 changes the flags of attached mounts only, and one at a time. */
function lateAttributes(path: string, set: number, recursive: boolean, target: string): Op[] {
  const below = recursive ? mountsBelow(path) : [];
  return ['', ...below].map((suffix) => {
    return { op: 'attributes', target: join(target, suffix), set, clear: 0, recursive: false };
  });
}

/** Targets of the mounts below a path, relative to it, each once. */
function mountsBelow(path: string): string[] {
  const prefix = path === '/' ? '/' : `${path}/`;
  const targets = parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8')).map((entry) => entry.target);
  return [
    ...new Set(targets.filter((at) => at.startsWith(prefix) && at !== prefix).map((at) => at.slice(prefix.length))),
  ];
}
