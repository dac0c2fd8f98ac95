// Copies a package into a directory so that it is there whole or not at all, also after a power cut.
import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir, rename, rm, statfs, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { fsyncDirectory, identityOf } from '../native/file.ts';
import type { FileIdentity } from '../state/observed.ts';
import { TerminalError } from './failure.ts';
import type { PackageContent, ReadPackage } from './repository-directory.ts';

/** Files of copies under way start with it; a reader of the directory passes them over. */
export const partialPrefix = '.northstate-install-';
/** Small enough that hashing one never holds the loop for a millisecond. */
const chunkSize = 256 * 1024;

export interface CopyIn {
  readonly directory: string;
  readonly size: number;
  readonly bytes: AsyncIterable<Uint8Array>;
  /** `sha256:<hex>`, null = any. */
  readonly digest: string | null;
  readonly readPackage: ReadPackage;
  /** Looks at the package before it gets its name, and gives the path; throws when it must not come in. */
  readonly admit: (content: PackageContent) => string;
  readonly signal: AbortSignal;
}

export interface Copied {
  readonly path: string;
  readonly identity: FileIdentity;
  readonly content: PackageContent;
  readonly digest: string;
}

/** Rejects with TerminalError (reasons SizeMismatch, DigestMismatch), what `readPackage` and `admit` throw, or an error of the file system. */
export async function copyIn(options: CopyIn): Promise<Copied> {
  await checkSpace(options);
  const partial = join(options.directory, `${partialPrefix}${randomUUID()}`);
  const file = await open(partial, 'wx', 0o644);
  try {
    const digest = await copyBytes(options, file);
    await file.sync();
    const content = await options.readPackage(partial);
    const path = options.admit(content);
    options.signal.throwIfAborted();
    await rename(partial, path);
    await fsyncDirectory(options.directory);
    return { path, identity: identityOf(await file.stat()), content, digest };
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function checkSpace({ directory, size }: CopyIn): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize >= size) return;
  const free = String(bavail * bsize);
  throw new Error(`${directory}: no space for a package of ${size} bytes: ${free} are free (ENOSPC)`);
}

/** Gives the digest of what was copied. */
async function copyBytes({ bytes, size, digest: asked, signal }: CopyIn, file: FileHandle): Promise<string> {
  const hash = createHash('sha256');
  let copied = 0;
  for await (const chunk of bytes) {
    signal.throwIfAborted();
    copied += chunk.length;
    if (copied > size) break;
    hash.update(chunk);
    await file.appendFile(chunk);
  }
  if (copied !== size) {
    const got = copied > size ? 'more' : String(copied);
    throw new TerminalError('SizeMismatch', `expected a package of ${size} bytes, got ${got}`);
  }
  const digest = `sha256:${hash.digest('hex')}`;
  if (asked === null || asked === digest) return digest;
  throw new TerminalError('DigestMismatch', `the package has ${digest}, the document asks for ${asked}`);
}

/** A file to copy from; to be closed, read or not. */
export interface Source {
  readonly size: number;
  readonly bytes: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Opens a package that is to be copied from. Rejects with TerminalError (SourceMissing) when there is no such file. */
export async function openSource(path: string): Promise<Source> {
  const file = await openRegular(path);
  const { size } = await file.stat();
  const bytes = file.createReadStream({ highWaterMark: chunkSize, autoClose: false });
  return { size, bytes, close: () => file.close() };
}

async function openRegular(path: string): Promise<FileHandle> {
  const missing = (how: string, cause?: unknown) =>
    new TerminalError('SourceMissing', `source ${path}: ${how}`, { cause });
  // O_NONBLOCK: a FIFO must not hold a thread until somebody writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw missing('no such file', error);
    throw error;
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw missing('not a regular file');
}

/** `sha256:<hex>` of a whole file. */
export async function digestOf(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const source = await openSource(path);
  try {
    for await (const chunk of source.bytes) {
      signal.throwIfAborted();
      hash.update(chunk);
    }
  } finally {
    await source.close();
  }
  return `sha256:${hash.digest('hex')}`;
}

/** Removes what copies left behind that were cut short by a crash. */
export async function removePartials(directory: string): Promise<string[]> {
  const partials = (await readdir(directory)).filter((name) => name.startsWith(partialPrefix));
  await Promise.all(partials.map((name) => rm(join(directory, name), { force: true })));
  return partials;
}
