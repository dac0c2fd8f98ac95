// The directory that becomes an image: a root directory, and files from elsewhere at paths of their own in it.
import { constants, copyFile, cp, chmod, lstat, mkdir, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';

/** A file or a directory to put into the image, at an absolute path of the container. */
export interface Addition {
  readonly at: string;
  readonly from: string;
}

/**
 * Makes the directory `target`: a copy of `root`, links and modes as they are, with the additions. What an addition is put
 * at must not be there yet, and must not lie behind a link. Rejects with an Error that names it.
 */
export async function stageRoot(target: string, root: string | null, additions: readonly Addition[]): Promise<void> {
  await mkdir(target);
  await chmod(target, 0o755);
  if (root !== null) await copyTree(root, target);
  for (const { at, from } of additions) await add(target, posix.resolve('/', at), from);
}

async function add(target: string, at: string, from: string): Promise<void> {
  if (at === '/') throw new Error(`${from} cannot be put at ${at}: name the file`);
  const found = await stat(from).catch((error: unknown) => {
    throw new Error(`${from}, which ${at} is made of, cannot be read: ${String(error)}`, { cause: error });
  });
  await makeParents(target, posix.dirname(at));
  const path = join(target, at);
  if (await isThere(path)) throw new Error(`${at} is in the root directory already, and ${from} is to be put there`);
  if (found.isDirectory()) await copyTree(from, path);
  else await copyFile(from, path, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
}

/** Directories down to one, those that are missing with mode 0755. */
async function makeParents(target: string, directory: string): Promise<void> {
  if (directory === '/') return;
  await makeParents(target, posix.dirname(directory));
  const path = join(target, directory);
  const found = await lstat(path).catch(() => null);
  if (found === null) {
    await mkdir(path);
    await chmod(path, 0o755);
  } else if (!found.isDirectory()) throw new Error(`${directory} in the root directory is no directory`);
}

async function copyTree(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
