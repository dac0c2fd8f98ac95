// A package file that is not whole yet. A copy of a stream that is cut short is worth nothing; one of a file on a server is kept, and
// the next attempt goes on from it.
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, readFile, rename, rm, unlink, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { identityOf, type Identity } from '../../native/file.ts';
import { hasErrno, ifMissing } from '../../state/errno.ts';
import { TerminalError } from '../failure.ts';
import type { FetchProgress } from './repository.ts';
import { readdir } from '../../state/file/in-place.ts';

/** Files of copies under way start with it; a reader of the directory passes them over. */
export const partialPrefix = '.northstate-install-';
/** Those that are gone on from: with the name of the container. */
const keptPrefix = `${partialPrefix}fetch-`;
const noteSuffix = '.progress';
/** ms after which a fetch that nobody goes on with is given up: a week. */
const keptFor = 7 * 24 * 3600 * 1000;

export interface PartialFile {
  readonly path: string;
  /** Open for reading and writing. */
  readonly file: FileHandle;
  /** What an earlier attempt noted of it. */
  progress(): Promise<FetchProgress | null>;
  /** Notes what can be gone on from; the bytes are on the disk already. */
  keep(progress: FetchProgress): Promise<void>;
  /** Gives it its own name. The directory is not synced. */
  place(path: string): Promise<Identity>;
  /** It will not become whole now: it is removed, unless a later attempt can go on from it. */
  fail(error: unknown): Promise<void>;
}

/**
 * Makes or opens a partial file; `resumable` names the container whose package it will be, null = it is a new one. Rejects with
 * TerminalError (RepositoryReadOnly), or with an error of the file system.
 */
export async function openPartial(directory: string, resumable: string | null): Promise<PartialFile> {
  const path = join(directory, resumable === null ? `${partialPrefix}${randomUUID()}` : `${keptPrefix}${resumable}`);
  const note = `${path}${noteSuffix}`;
  const file = (resumable === null ? null : await openKept(path)) ?? (await make(directory, path));

  async function remove(): Promise<void> {
    await rm(path, { force: true });
    await rm(note, { force: true });
  }

  return {
    path,
    file,
    progress: async () => (resumable === null ? null : await readNote(note)),
    async keep(progress) {
      const written = `${note}-${randomUUID()}`;
      await writeFile(written, JSON.stringify(progress), { flag: 'wx', flush: true });
      await rename(written, note);
    },
    async place(to) {
      await rename(path, to);
      await rm(note, { force: true });
      return identityOf(await file.stat());
    },
    async fail(error) {
      if (resumable === null || error instanceof TerminalError) await remove();
    },
  };
}

async function make(directory: string, path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx+', 0o644);
  } catch (error) {
    if (!hasErrno(error, 'EROFS')) throw error;
    throw new TerminalError('RepositoryReadOnly', `${directory}: the file system is read-only (EROFS)`, {
      cause: error,
    });
  }
}

/** What was left, when it is ours alone; anything else of that name is removed. */
async function openKept(path: string): Promise<FileHandle | null> {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return null;
    if (hasErrno(error, 'ELOOP')) return undefined;
    throw error;
  });
  if (file === null) return null;
  if (file !== undefined) {
    const { uid, mode, nlink } = await file.stat().catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
    const isOurs =
      uid === process.getuid?.() && (mode & (constants.S_IFMT | 0o022)) === constants.S_IFREG && nlink === 1;
    if (isOurs) return file;
    await file.close();
  }
  await unlink(path);
  return null;
}

/** Null when there is none that can be read: the fetch begins anew then. */
async function readNote(path: string): Promise<FetchProgress | null> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return '';
    throw error;
  });
  try {
    const { validator, size, synced } = JSON.parse(text) as Record<string, unknown>;
    if (typeof validator !== 'string' || typeof size !== 'number' || typeof synced !== 'number') return null;
    return Number.isSafeInteger(synced) && synced >= 0 && synced <= size ? { validator, size, synced } : null;
  } catch {
    return null;
  }
}

/** Removes what copies left behind that were cut short by a crash, and fetches that nobody has gone on with for a week. Gives their names. */
export async function removePartials(directory: string): Promise<string[]> {
  const removed: string[] = [];
  for (const name of (await readdir(directory)).filter((each) => each.startsWith(partialPrefix))) {
    const path = join(directory, name);
    const found = await lstat(path).catch(ifMissing);
    if (found === null || (name.startsWith(keptPrefix) && Date.now() - found.mtimeMs < keptFor)) continue;
    await rm(path, { force: true });
    removed.push(name);
  }
  return removed;
}
