// What a bind's host path leads to, where other containers may write to a directory on the way.
import { closeSync, constants, fstatSync, openSync, readlinkSync, type Stats } from 'node:fs';
import { openEntryIn } from '../../native/openat2.ts';

/** Symbolic links that are followed at most, as in the kernel (path_resolution(7)). */
const mostLinks = 40;
const sticky = 0o1000;

/** A directory that has been reached. `ours`: nobody but root can have put something else in its place. */
interface Place {
  readonly fd: number;
  readonly path: string;
  readonly ours: boolean;
}

/**
 * Opens (O_PATH) what a host path leads to. A link is followed where nobody but root can have made it; below a directory that
 * somebody else may write (another container, to which it is bound) neither a link nor `..` is, and the error names it.
 * Throws SyscallError: ENOENT and ENOTDIR when nothing is there.
 */
export function openBindSource(path: string): number {
  let place: Place = root();
  try {
    let links = 0;
    let pending = namesOf(path);
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      const next = step(place, name);
      const stats = fstatSync(next.fd);
      const ours = place.ours && isOurs(fstatSync(place.fd), stats);
      if (!stats.isSymbolicLink()) {
        closeSync(place.fd);
        place = { ...next, ours };
        continue;
      }
      closeSync(next.fd);
      links += 1;
      if (!ours) throw refusal(path, next.path, 'is a link');
      if (links > mostLinks) throw new Error(`${path}: too many symbolic links`);
      const target = readlinkSync(`/proc/self/fd/${place.fd}/${name}`);
      pending = [...namesOf(target), ...pending];
      if (target.startsWith('/')) {
        closeSync(place.fd);
        place = root();
      }
    }
    return place.fd;
  } catch (error) {
    closeSync(place.fd);
    throw error;
  }

  function step(from: Place, name: string): { fd: number; path: string } {
    const next = `${from.path === '/' ? '' : from.path}/${name}`;
    if (name !== '..') return { fd: openEntryIn(from.fd, name, next), path: next };
    // Who may move a directory says what is above it.
    if (!from.ours) throw refusal(path, next, 'leads up');
    return { fd: openSync(`/proc/self/fd/${from.fd}/..`, constants.O_RDONLY | constants.O_DIRECTORY), path: next };
  }
}

function root(): Place {
  return { fd: openSync('/', constants.O_RDONLY | constants.O_DIRECTORY), path: '/', ours: true };
}

/** Only root can have made this entry of a directory: it alone may write there, or it owns it and the directory is sticky. */
function isOurs(directory: Stats, entry: Stats): boolean {
  if (directory.uid !== 0) return false;
  const open = (directory.mode & 0o022) !== 0;
  return !open || ((directory.mode & sticky) !== 0 && entry.uid === 0);
}

function refusal(path: string, component: string, what: string): Error {
  return new Error(
    `the bind source ${path}: ${component} ${what} below a directory that others than root may write; name the place itself`,
  );
}

/** The names that the kernel walks through, one after the other; `..` after a link leads to where the link leads. */
function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
