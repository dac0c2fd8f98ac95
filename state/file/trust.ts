// What commands root must be root's: the configuration, the document, our directories and every directory above them.
import type { Stats } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { errnoOf, ifMissing } from '../errno.ts';
import { lstat, makeDirectory, readlink } from './in-place.ts';

/** Symbolic links that are followed at most, as in the kernel (path_resolution(7)). */
const mostLinks = 40;
const sticky = 0o1000;

/** A path that somebody else than its owner could change; the message names the one component. */
export class UntrustedPath extends Error {}

/** One component of the way to a file; `stat` is null when there is none. */
export interface Component {
  readonly path: string;
  readonly stat: Stats | null;
}

export interface Way {
  readonly components: readonly Component[];
  /** The file itself, behind all links; null where there is none. */
  readonly target: string | null;
  /** What ended the way before its end: links that lead to themselves (ELOOP), or a component that cannot be looked at. */
  readonly problem: Error | null;
}

/**
 * Every component on the way to a file, in the order the kernel looks at them: the directories above it, and where a
 * component is a symbolic link, those of what it points to. Ends early where one is missing; the last is then that one.
 */
export async function wayTo(path: string): Promise<Way> {
  const components: Component[] = [];
  try {
    return { components, target: await walk(path, components), problem: null };
  } catch (error) {
    return { components, target: null, problem: error instanceof Error ? error : new Error(String(error)) };
  }
}

async function walk(path: string, components: Component[]): Promise<string | null> {
  const names = namesOf(path);
  let at = '/';
  let links = 0;
  components.push({ path: at, stat: await lstat(at) });
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const next = name === '..' ? dirname(at) : join(at, name);
    const stat = await look(next, components);
    if (stat === null) return null;
    if (!stat.isSymbolicLink()) {
      at = next;
      continue;
    }
    if (++links > mostLinks) throw new Error(`readlink ${next}: ELOOP, too many symbolic links; let it lead to a file`);
    const to = await readlink(next);
    names.unshift(...namesOf(to));
    if (isAbsolute(to)) at = '/';
  }
  return at;
}

/** The names that the kernel walks through, one after the other; `..` after a link leads to where the link leads. */
function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/** One that cannot be looked at is a component as well: whoever waits for it to change must know of it. */
async function look(path: string, components: Component[]): Promise<Stats | null> {
  let stat: Stats | null = null;
  try {
    stat = await lstat(path).catch(ifMissing);
    return stat;
  } finally {
    components.push({ path, stat });
  }
}

/**
 * Why what is at the end of a way may not command root, null when it may: it and every directory above it must belong to
 * `owner` or root and be writable by nobody else. A sticky directory will do, since in it only the owner of a file can
 * replace it.
 */
export function ownershipProblem(components: readonly Component[], owner = 0): string | null {
  for (const { path, stat } of components) {
    if (stat === null) continue;
    if (stat.uid !== owner && stat.uid !== 0)
      return `${path} belongs to user ${stat.uid}; it commands root and must be root's: chown root ${path}`;
    const isOpen = (stat.mode & 0o022) !== 0 && !stat.isSymbolicLink();
    if (isOpen && !(stat.isDirectory() && (stat.mode & sticky) !== 0))
      return `${path} is writable by others than its owner: chmod go-w ${path}`;
  }
  return null;
}

/**
 * Makes a directory when it is missing, with `mode`, and those above it (0700), and checks it. Throws UntrustedPath or the
 * errno.
 */
export async function makeTrustedDirectory(path: string, { owner = 0, mode = 0o700 } = {}): Promise<void> {
  // mkdir(2) of a path with parents gives all of them one mode.
  if (mode !== 0o700) await makeDirectory(dirname(path), 0o700);
  await makeDirectory(path, mode);
  await checkTrusted(path, owner);
}

/** Checks the way to a path as ownershipProblem() does. What does not exist is not checked. Throws UntrustedPath or the errno. */
export async function checkTrusted(path: string, owner = 0): Promise<void> {
  const { components, problem } = await wayTo(isAbsolute(path) ? path : `${process.cwd()}/${path}`);
  const untrusted = ownershipProblem(components, owner);
  if (untrusted !== null) throw new UntrustedPath(untrusted);
  if (problem !== null) throw errnoOf(problem) === null ? new UntrustedPath(`${path}: ${problem.message}`) : problem;
}
