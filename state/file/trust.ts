// What commands root must be root's: the configuration, the document, our directories and every directory above them.
import { lstat, mkdir, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Symbolic links that are followed at most, as in the kernel (path_resolution(7)). */
const mostLinks = 40;
const sticky = 0o1000;

/** A path that somebody else than its owner could change; the message names the one component. */
export class UntrustedPath extends Error {}

/** Makes a directory and those above it when they are missing (0700), and checks it. Throws UntrustedPath or the errno. */
export async function makeTrustedDirectory(path: string, owner = 0): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await checkTrusted(path, owner);
}

/**
 * Checks that a path and every directory on the way to it belong to `owner` or root and are writable by nobody else (a
 * sticky directory will do), through every symbolic link. What does not exist is not checked. Throws UntrustedPath.
 */
export async function checkTrusted(path: string, owner = 0): Promise<void> {
  let links = 0;
  let pending = namesOf(path.startsWith('/') ? path : `${process.cwd()}/${path}`);
  let reached = '/';
  await checkOne(reached, owner);
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    const next = name === '..' ? dirname(reached) : join(reached, name);
    const found = await checkOne(next, owner);
    if (found === null) return;
    if (!found.isSymbolicLink()) {
      reached = next;
      continue;
    }
    links += 1;
    if (links > mostLinks) throw new UntrustedPath(`${path}: too many symbolic links`);
    const target = await readlink(next);
    if (target.startsWith('/')) reached = '/';
    pending = [...namesOf(target), ...pending];
  }
}

/** The names that the kernel walks through, one after the other; `..` after a link leads to where the link leads. */
function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

async function checkOne(path: string, owner: number) {
  const found = await lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  if (found === null) return null;
  if (found.uid !== owner && found.uid !== 0) {
    throw new UntrustedPath(
      `${path} belongs to user ${found.uid}; it commands root and must be root's: chown root ${path}`,
    );
  }
  const isOpen = (found.mode & 0o022) !== 0 && !found.isSymbolicLink();
  if (isOpen && !(found.isDirectory() && (found.mode & sticky) !== 0)) {
    throw new UntrustedPath(`${path} is writable by others than its owner: chmod go-w ${path}`);
  }
  return found;
}
