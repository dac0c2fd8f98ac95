// Taking a tree down that others may change at the same time: by descriptors, so that nothing outside of it is reached.
import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { constants } from 'node:os';
import { despiteFlags, despiteOwnFlags } from './file-flags.ts';
import { declareAsync, SyscallError } from './libc.ts';
import { openDirectoryIn } from './openat2.ts';
import { hasErrno } from '../state/errno.ts';

const AT_REMOVEDIR = 0x200;

const unlinkat = declareAsync('unlinkat', 'int', ['int', 'void *', 'int']);
const renameat = declareAsync('renameat', 'int', ['int', 'void *', 'int', 'void *']);

/** Names that are read at once. */
const batch = 256;
/** As often is a directory read again in which new names appear. */
const mostRounds = 64;

/**
 * Removes what has a name in a directory, with all that is in it: a link is removed and not followed, a mount not entered
 * (EXDEV, EBUSY), one that is immutable or append-only goes as well. Nothing is done when nothing has that name. `path` is for
 * errors. Memory and descriptors do not grow with the tree. Flags of the directory that it is in are somebody else's and hold
 * (EPERM). Rejects with SyscallError; with ENOTEMPTY for a tree that somebody keeps filling.
 */
export async function removeTree(parent: number, name: string, path: string): Promise<void> {
  const entry = nameOf(name);
  if (await unlinked(parent, entry, path, despiteOwnFlags)) return;
  const directory = openDirectoryIn(parent, name, path);
  try {
    await emptyDirectory(directory, path);
  } finally {
    closeSync(directory);
  }
  await despiteOwnFlags(parent, name, path, () => unlinkat(path, parent, entry, AT_REMOVEDIR));
}

/**
 * Removes what is in an open directory, by the same rules. A directory in it is not descended into: what directories it has
 * are moved up into `top` first, so that a tree of any depth is one of two levels.
 */
export async function emptyDirectory(top: number, path: string): Promise<void> {
  const prefix = `.removed-${randomBytes(8).toString('hex')}-`;
  let moved = 0;
  let removed = 0;
  const moveUp = async (directory: number, entry: Buffer): Promise<void> => {
    const to = nameOf(`${prefix}${moved}`);
    await despiteFlags(directory, entry.subarray(0, -1), path, () => renameat(path, directory, entry, top, to));
    moved += 1;
  };
  const removeDirectory = async (entry: Buffer): Promise<void> => {
    const directory = openedUnlessReplaced(top, entry, path);
    if (directory === null) return;
    try {
      await eachEntry(directory, path, (inside) => moveUp(directory, inside));
    } finally {
      closeSync(directory);
    }
    const name = entry.subarray(0, -1);
    await despiteFlags(top, name, path, () => unlinkat(path, top, entry, AT_REMOVEDIR)).catch(unlessReplaced);
  };
  await eachEntry(top, path, async (entry) => {
    await removeDirectory(entry);
    for (; removed < moved; removed++) await removeDirectory(nameOf(`${prefix}${removed}`));
  });
}

/** Unlinks all files of a directory and calls `act` for each directory in it, until it is empty. */
async function eachEntry(directory: number, path: string, act: (entry: Buffer) => Promise<void>): Promise<void> {
  for (let round = 0; round < mostRounds; round++) {
    let found = false;
    // Names are bytes, whatever the types of node:fs say; a listing has a position of its own (proc_pid_fd(5)).
    const options = { encoding: 'buffer' as BufferEncoding, bufferSize: batch };
    const listing = await opendir(`/proc/self/fd/${directory}`, options);
    for await (const { name } of listing) {
      found = true;
      const entry = nameOf(name);
      if (!(await unlinked(directory, entry, path))) await act(entry);
    }
    if (!found) return;
  }
  throw new SyscallError('unlinkat', constants.errno.ENOTEMPTY, `${path}, which is being written to`);
}

/** False for a directory. What is gone already is as it should be. */
async function unlinked(
  directory: number,
  entry: Buffer,
  path: string,
  despite: typeof despiteFlags = despiteFlags,
): Promise<boolean> {
  try {
    await despite(directory, entry.subarray(0, -1), path, () => unlinkat(path, directory, entry, 0));
    return true;
  } catch (error) {
    if (hasErrno(error, 'EISDIR')) return false;
    if (hasErrno(error, 'ENOENT')) return true;
    throw error;
  }
}

/** Null when it is no directory any more: the next round meets what it is now. */
function openedUnlessReplaced(directory: number, entry: Buffer, path: string): number | null {
  try {
    return openDirectoryIn(directory, entry.subarray(0, -1), path);
  } catch (error) {
    unlessReplaced(error);
    return null;
  }
}

function unlessReplaced(error: unknown): void {
  if (!hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENOTEMPTY')) throw error;
}

function nameOf(name: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(name), Buffer.alloc(1)]);
}
