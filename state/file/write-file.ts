// Writing so that a power cut leaves the old or the new, and that nobody's save is lost.
import { constants, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { FileText } from './document-file.ts';
import { hasErrno, ifMissing } from '../errno.ts';

/** Swaps two names at once (renameat2(2), RENAME_EXCHANGE); its error, or what caused it, has a `code`. */
export type Exchange = (from: string, to: string) => Promise<void> | void;

/** A file that is on the disk under another name yet. */
export interface PreparedFile {
  /** Gives it its name in one step that survives a power cut. */
  commit(): Promise<void>;
  discard(): Promise<void>;
}

/** The file that is written before it takes another's place; a power cut may leave it. */
export function draftOf(path: string): string {
  return `${path}.new`;
}

/** Writes a file's new contents beside it, so that only the renaming is left. */
export async function prepareFile(path: string, text: string | Uint8Array, mode = 0o600): Promise<PreparedFile> {
  const temporary = draftOf(path);
  await writeSynced(temporary, text, mode);
  return {
    async commit() {
      await rename(temporary, path);
      await syncDirectory(dirname(path));
    },
    discard: () => unlink(temporary),
  };
}

/** The same without the waits for the disk: for a tmpfs, and for what says of itself whether it is whole. */
export async function writeAtomically(path: string, text: string | Uint8Array): Promise<void> {
  const temporary = draftOf(path);
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}

/** The same at once, and the directory too where it is missing: what is small costs a tmpfs less than five calls of other threads. */
export function writeInPlace(path: string, text: string): void {
  const temporary = draftOf(path);
  const write = (): void => writeFileSync(temporary, text, { mode: 0o600 });
  try {
    write();
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    write();
  }
  renameSync(temporary, path);
}

/** fsync(2) of a directory: the names in it survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export interface ReplaceOptions {
  readonly exchange: Exchange;
  /** Copies extended attributes (xattr(7)) from one file to another. */
  readonly copyAttributes: (from: string, to: string) => Promise<void> | void;
}

/**
 * Replaces a document's file, with its owner, mode and extended attributes. Gives null when what it replaced is `old`,
 * else the text that somebody saved meanwhile: the file has the new text then, and the caller decides. Throws when the
 * file cannot be written; it is then as it was.
 */
export async function replaceFile(old: FileText, text: string, options: ReplaceOptions): Promise<string | null> {
  const { target } = old;
  const temporary = temporaryFor(target);
  await writeSynced(temporary, text, old.mode);
  try {
    await keepOwner(temporary, old);
    await options.copyAttributes(target, temporary);
    await exchangeOrRename(temporary, target, options.exchange);
    await syncDirectory(dirname(target));
    const out = await readFile(temporary, 'utf8').catch(ifMissing);
    return out === null || out === old.text ? null : out;
  } finally {
    await unlink(temporary).catch(ifMissing);
  }
}

/** Creates a document's file where there is none; gives null, or '' when one has appeared meanwhile. Throws when it cannot be written. */
export async function createFile(path: string, text: string): Promise<string | null> {
  const temporary = temporaryFor(path);
  await writeSynced(temporary, text, 0o644);
  try {
    await link(temporary, path);
    await syncDirectory(dirname(path));
    return null;
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return '';
    throw error;
  } finally {
    await unlink(temporary).catch(ifMissing);
  }
}

/** In the same directory (rename(2) does not leave a file system), hidden, and one name only: what a crash leaves is written over. */
function temporaryFor(path: string): string {
  return join(dirname(path), `.${basename(path)}.northstate`);
}

async function writeSynced(path: string, text: string | Uint8Array, mode: number): Promise<void> {
  await unlink(path).catch(ifMissing);
  const handle = await open(path, 'wx', mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
  } catch (error) {
    await unlink(path).catch(ifMissing);
    throw error;
  } finally {
    await handle.close();
  }
}

async function keepOwner(path: string, { uid, gid, mode }: FileText): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const now = await handle.stat();
    if (now.uid === uid && now.gid === gid) return;
    await handle.chown(uid, gid);
    await handle.chmod(mode); // chown(2) clears the set-id bits
  } finally {
    await handle.close();
  }
}

/** A file system without RENAME_EXCHANGE says EINVAL: there, what is replaced cannot be looked at afterwards. */
async function exchangeOrRename(from: string, to: string, exchange: Exchange): Promise<void> {
  try {
    await exchange(from, to);
  } catch (error) {
    if (!hasErrno(error, 'EINVAL', 'ENOSYS')) throw error;
    await rename(from, to);
  }
}
