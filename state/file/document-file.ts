// The document's file: read when it is whole, and checked to be root's.
import { constants } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { errnoOf, isMissing, messageOf } from '../errno.ts';

/** A file as it was read. */
export interface FileText {
  readonly kind: 'text';
  readonly text: string;
  /** The file itself, behind all symbolic links. */
  readonly target: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/**
 * `refused`: it must not be used, and why. `unreadable`: it cannot be read now, which says nothing about it. `moving`: it was
 * written to while it was read.
 */
export type FileResult =
  | FileText
  | { readonly kind: 'missing' }
  | { readonly kind: 'moving' }
  | { readonly kind: 'refused' | 'unreadable'; readonly message: string };

/** One component of the way to a file. */
export interface Component {
  readonly path: string;
  readonly link: boolean;
}

const LINKS = 40; // as many as the kernel follows (path_resolution(7))

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
  const components: Component[] = [{ path: '/', link: false }];
  try {
    return { components, target: await walk(path, components), problem: null };
  } catch (error) {
    return { components, target: null, problem: error instanceof Error ? error : new Error(String(error)) };
  }
}

async function walk(path: string, components: Component[]): Promise<string | null> {
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  let at = '/';
  let links = 0;
  while (names.length > 0) {
    const name = names.shift() ?? '';
    const next = name === '..' ? dirname(at) : join(at, name);
    const component = { path: next, link: false };
    components.push(component);
    const found = await lstat(next).catch(ifMissing);
    if (found === null) return null;
    component.link = found.isSymbolicLink();
    if (!found.isSymbolicLink()) at = next;
    else {
      if (++links > LINKS) throw new Error(`readlink ${next}: ELOOP, too many symbolic links; let it lead to a file`);
      const to = await readlink(next);
      names.unshift(...to.split('/').filter((part) => part !== '' && part !== '.'));
      if (isAbsolute(to)) at = '/';
    }
  }
  return at;
}

function ifMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}

/**
 * Why a file may not command root, null when it may: it and every directory above it must belong to root and be
 * writable by nobody else. A sticky directory will do, since in it only the owner of a file can replace it.
 */
export async function ownershipProblem(components: readonly Component[]): Promise<string | null> {
  for (const { path, link } of components) {
    const { uid, mode } = await lstat(path);
    if (uid !== 0) return `${path} belongs to uid ${uid}; chown it to root`;
    const sticky = (mode & constants.S_IFMT) === constants.S_IFDIR && (mode & 0o1000) !== 0;
    if (!link && (mode & 0o022) !== 0 && !sticky) return `${path} is writable by others than root; chmod go-w ${path}`;
  }
  return null;
}

/** Reads the file, at most `limit` bytes of UTF-8. */
export async function readDocumentFile(path: string, limit: number): Promise<FileResult> {
  try {
    const { components, target, problem: broken } = await wayTo(path);
    if (broken !== null) throw broken;
    if (target === null) return { kind: 'missing' };
    const problem = await ownershipProblem(components);
    if (problem !== null) return { kind: 'refused', message: problem };
    return await readTarget(target, limit);
  } catch (error) {
    if (isMissing(error)) return { kind: 'missing' };
    return { kind: errnoOf(error) === null ? 'refused' : 'unreadable', message: messageOf(error) };
  }
}

async function readTarget(target: string, limit: number): Promise<FileResult> {
  // O_NONBLOCK: a FIFO in its place must not hold us.
  const handle = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const before = await handle.stat({ bigint: true });
    if (!before.isFile()) return { kind: 'refused', message: `${target} is not a regular file` };
    if (before.size > limit) {
      return { kind: 'refused', message: `${target} has ${before.size} bytes; at most ${limit} are read` };
    }
    const bytes = await handle.readFile();
    const after = await handle.stat({ bigint: true });
    if (BigInt(bytes.length) !== after.size || before.mtimeNs !== after.mtimeNs || before.ctimeNs !== after.ctimeNs) {
      return { kind: 'moving' };
    }
    const { uid, gid, mode } = after;
    return {
      kind: 'text',
      text: decode(bytes),
      target,
      uid: Number(uid),
      gid: Number(gid),
      mode: Number(mode) & 0o7777,
    };
  } finally {
    await handle.close();
  }
}

/** Strict UTF-8, the byte order mark kept: what is read can be written again byte for byte. */
function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('the file is not valid UTF-8');
  }
}
