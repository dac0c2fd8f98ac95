// Persistent data: a directory for each name below dataDir, which all versions of the name share.
import { closeSync, constants, mkdirSync, openSync, promises } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { despiteOwnFlags } from '../../native/file-flags.ts';
import { emptyDirectory, removeTree } from '../../native/removal.ts';
import { hasErrno } from '../../state/errno.ts';
import { readdir } from '../../state/file/in-place.ts';

/** No container has such a name: a colon is in none. */
const removedPrefix = '.removed:';

/** Opens the persist directory and makes it when it is not there: root's until a start gives it to its user. */
export function openPersist(path: string): number {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error;
  }
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/**
 * Removes the persistent data of a name, which the caller has checked and of which nothing runs. It is put aside first, so
 * that the next start begins with an empty directory, whenever it comes; then it is taken down without a path being
 * resolved in it. A file system that is mounted there is emptied where it is. Rejects with what the system says.
 */
export async function wipePersist(dataDir: string, name: string): Promise<void> {
  const path = join(dataDir, name);
  const aside = `${removedPrefix}${randomBytes(8).toString('hex')}`;
  const putAside = (directory: number) =>
    despiteOwnFlags(directory, name, path, () => promises.rename(path, join(dataDir, aside)));
  try {
    await withDirectory(dataDir, putAside);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return;
    if (!hasErrno(error, 'EBUSY')) throw error;
    const mounted = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    await emptyDirectory(mounted, path).finally(() => closeSync(mounted));
    return;
  }
  await withDirectory(dataDir, (directory) => removeTree(directory, aside, path));
}

/** Takes down what an interrupted wipe has left. Rejects with what the system says. */
export async function sweepPersist(dataDir: string): Promise<void> {
  const names = await readdir(dataDir).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  });
  const left = names.filter((name) => name.startsWith(removedPrefix));
  if (left.length === 0) return;
  await withDirectory(dataDir, async (directory) => {
    for (const name of left) await removeTree(directory, name, join(dataDir, name));
  });
}

async function withDirectory(path: string, act: (directory: number) => Promise<void>): Promise<void> {
  const directory = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await act(directory).finally(() => closeSync(directory));
}
