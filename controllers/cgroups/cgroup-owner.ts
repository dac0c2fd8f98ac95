// Whose a control group is. Two runtimes with the same `cgroup` would end each other's containers: the root belongs to one at a
// time, by a lock, and every leaf says by an attribute of it (xattr(7)) which runtime made it.
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { tryLock } from '../../native/file.ts';
import { readAttribute, writeAttribute } from '../../native/xattr.ts';
import { TerminalError } from '../failure.ts';
import { makeRoot, type Tree } from './cgroup-groups.ts';

/** Whose a group is. */
export const attribute = 'trusted.northstate';

/** Another runtime has the groups; the message says which. */
export class GroupsTaken extends Error {}

/**
 * Takes the root of our groups for this runtime. Gives a descriptor that holds it for as long as any copy of it is open.
 * `holder` is what others are told. Rejects with GroupsTaken, TerminalError (CgroupRefused), SyscallError.
 */
export async function claimRoot(tree: Tree, holder: string): Promise<number | null> {
  const [branch] = tree.all;
  if (branch === undefined) return null;
  for (;;) {
    await makeRoot(tree, branch);
    const fd = openSync(branch.root, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      if (!tryLock(fd, branch.root)) {
        const by = readAttribute(branch.root, attribute)?.toString() ?? 'another runtime';
        throw new GroupsTaken(`${branch.root} is in use by ${by}; another name is set by cgroup in the configuration`);
      }
      if (isSame(fd, branch.root)) {
        writeAttribute(branch.root, attribute, Buffer.from(holder));
        return fd;
      }
      // Whoever had it has removed it in between.
      closeSync(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
}

/** Whether a descriptor of claimRoot holds what is there now. */
export function holdsRoot(tree: Tree, fd: number): boolean {
  const [branch] = tree.all;
  return branch === undefined || isSame(fd, branch.root);
}

function isSame(fd: number, path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const held = fstatSync(fd);
  return there?.dev === held.dev && there.ino === held.ino;
}

/** Whether a leaf was made by this runtime, be it before its launcher was started anew. */
export function isOwnLeaf({ owner }: Tree, path: string): boolean {
  return readAttribute(path, attribute)?.toString() === owner;
}

/** Makes a leaf this runtime's that it has made a moment ago. */
export function markLeaf({ owner }: Tree, path: string): void {
  writeAttribute(path, attribute, Buffer.from(owner));
}

/** Makes a leaf this runtime's; `inUse` says whether processes are in it. Throws TerminalError for one of another runtime that runs. */
export function takeLeaf(tree: Tree, path: string, inUse: () => boolean): void {
  const theirs = readAttribute(path, attribute)?.toString() ?? null;
  if (theirs === tree.owner) return;
  if (theirs !== null && inUse()) {
    throw new TerminalError('CgroupRefused', `cgroups: processes of another runtime (${theirs}) are in ${path}`);
  }
  markLeaf(tree, path);
}
