// Copies a package into a repository so that it is there whole or not at all, on a disk also after a power cut.
import { createHash, hash } from 'node:crypto';
import { closeSync, constants, fstatSync } from 'node:fs';
import { open, readFile, statfs, type FileHandle } from 'node:fs/promises';
import { fsyncDirectory, identityOf } from '../../native/file.ts';
import { beginWriteback } from '../../native/writeback.ts';
import { createMemoryFile, sealMemoryFile } from '../../native/memfd.ts';
import type { FileIdentity } from '../../state/observed.ts';
import { TerminalError } from '../failure.ts';
import type { Incoming as AnyIncoming, PackageContent, PackageReader, Streamed } from './repository.ts';
import { messageOf, hasErrno } from '../../state/errno.ts';
import { openFile } from '../../state/file/in-place.ts';
import { openPartial, type PartialFile } from './partial-file.ts';

/** Small enough that hashing one never holds the loop for a millisecond. */
const chunkSize = 256 * 1024;

interface Incoming<T> extends Omit<AnyIncoming, 'admit'> {
  readonly reader: PackageReader;
  /** Looks at the package before it is to be seen, and says where it goes; throws when it must not come in. */
  readonly admit: (content: PackageContent) => T;
}

export interface IntoDirectory extends Incoming<string> {
  readonly directory: string;
}

export interface Copied {
  readonly path: string;
  readonly identity: FileIdentity;
  readonly content: PackageContent;
  /** Null when it is not known. */
  readonly digest: string | null;
}

/**
 * Copies into a directory: a file of another name first, that gets its own when it is whole, checked and on the disk.
 * Rejects with TerminalError (reasons SizeMismatch, DigestMismatch, BadPackage, RepositoryReadOnly), with what `admit`
 * throws, or with an error of the file system; then nothing is left.
 */
export async function copyIntoDirectory(options: IntoDirectory): Promise<Copied> {
  const { directory, content: from, signal, admit } = options;
  const partial = await openPartial(directory, 'resumable' in from ? from.resumable : null);
  try {
    await checkSpace(directory, options.size - (await partial.file.stat()).blocks * 512);
    const digest = await copyBytes(options, partial);
    const [content] = await Promise.all([check(partial.path, options), partial.file.sync()]);
    const path = admit(content);
    signal.throwIfAborted();
    const identity = await partial.place(path);
    await fsyncDirectory(directory);
    return { path, identity, content, digest };
  } catch (error) {
    await partial.fail(error);
    throw error;
  } finally {
    await partial.file.close();
  }
}

async function checkSpace(directory: string, size: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize >= size) return;
  const free = String(bavail * bsize);
  throw new Error(`${directory}: no space for a package of ${size} bytes: ${free} are free (ENOSPC)`);
}

/**
 * Copies into a file in memory, which is sealed before anybody looks at what it holds. `name` is for people; `path` opens
 * the file as long as `fd` is open, which is the caller's. Rejects as copyIntoDirectory does; then nothing is left.
 */
export async function copyIntoMemory(
  options: Incoming<void> & { readonly name: string },
): Promise<Copied & { readonly fd: number }> {
  await checkMemory(options.size);
  const fd = createMemoryFile(options.name);
  try {
    const path = `/proc/self/fd/${fd}`;
    const digest = await fill(path, options);
    sealMemoryFile(fd);
    const content = await check(path, options);
    options.admit(content);
    options.signal.throwIfAborted();
    return { fd, path, identity: identityOf(fstatSync(fd)), content, digest };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

async function fill(path: string, options: Incoming<void>): Promise<string | null> {
  const file = await open(path, 'r+');
  try {
    return await copyBytes(options, { path, file, progress: async () => null, keep: async () => undefined });
  } finally {
    await file.close();
  }
}

/** What the kernel can still give without swapping (proc_meminfo(5), MemAvailable): a package must not take the last of it. */
async function checkMemory(size: number): Promise<void> {
  const text = await readFile('/proc/meminfo', 'utf8');
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1] ?? Infinity) * 1024;
  if (size <= available / 2) return;
  throw new Error(
    `no memory for a package of ${size} bytes: ${available} are available, and half of that is left free`,
  );
}

/** Reads what was copied as anybody will who mounts it later, blocks of the image included. */
async function check(path: string, { reader, signal }: Incoming<unknown>): Promise<PackageContent> {
  try {
    const content = await reader.read(path);
    await reader.verify(path, content, signal);
    return content;
  } catch (error) {
    signal.throwIfAborted();
    const reason = messageOf(error);
    throw new TerminalError('BadPackage', `not a package for this repository: ${reason.replace(`${path}: `, '')}`, {
      cause: error,
    });
  }
}

/** Gives the digest of what was copied, null when nobody wants to know. */
async function copyBytes(
  { content, size, digest: asked, signal }: Incoming<unknown>,
  { path, file, progress, keep }: Pick<PartialFile, 'path' | 'file' | 'progress' | 'keep'>,
): Promise<string | null> {
  let digest: string | null;
  if ('into' in content) {
    await content.into(file, await progress(), keep);
    digest = asked === 'unknown' ? null : await digestOf(path, signal);
  } else {
    digest = await copyStream(content.pieces, file, { size, hashed: asked !== 'unknown', signal });
  }
  if (digest === null || asked === 'any' || asked === digest) return digest;
  throw new TerminalError('DigestMismatch', `the package has ${digest}, the document asks for ${asked}`);
}

async function copyStream(
  pieces: Streamed['pieces'],
  file: FileHandle,
  { size, hashed, signal }: { readonly size: number; readonly hashed: boolean; readonly signal: AbortSignal },
): Promise<string | null> {
  const hashing = hashed ? createHash('sha256') : null;
  const writer = createWriter(file, Math.min(size, batchSize));
  let copied = 0;
  for await (const chunk of pieces) {
    signal.throwIfAborted();
    copied += chunk.length;
    if (copied > size) break;
    hashing?.update(chunk);
    await writer.write(chunk);
  }
  await writer.end();
  if (copied !== size) {
    const got = copied > size ? 'more' : String(copied);
    throw new TerminalError('SizeMismatch', `expected a package of ${size} bytes, got ${got}`);
  }
  return hashing === null ? null : `sha256:${hashing.digest('hex')}`;
}

/** Bytes that are written at a time: a stream brings them in small pieces. */
const batchSize = 1024 * 1024;

/** Bytes after which the disk is given something to do. */
const writebackSize = 4 * batchSize;

/** Bytes after which it is to have them for good: what is still in its own cache is what an fsync(2) at the end would wait for. */
const flushSize = 8 * batchSize;

/** Writes one batch while the next one comes in, and the disk those before; the memory of both is used again and again. */
function createWriter(
  file: FileHandle,
  room: number,
): { write(chunk: Uint8Array): Promise<void>; end(): Promise<void> } {
  let [batch, other] = [Buffer.allocUnsafeSlow(room), Buffer.allocUnsafeSlow(room)];
  let batched = 0;
  let writing: Promise<void> = Promise.resolve();
  let [written, begun, flushed] = [0, 0, 0];
  let flushing = false;
  let onDisk: Promise<void> = Promise.resolve();

  async function put(bytes: Uint8Array): Promise<void> {
    await writeAll(file, bytes);
    written += bytes.length;
    if (written - begun < writebackSize) return;
    await beginWriteback(file.fd, begun, written - begun);
    begun = written;
    if (!flushing && written - flushed >= flushSize) flushAhead();
  }

  /** Whoever waits for the end is told when the disk fails, which then is asked nothing more. */
  function flushAhead(): void {
    flushing = true;
    flushed = written;
    onDisk = file.datasync().then(() => {
      flushing = false;
    });
    onDisk.catch(() => undefined);
  }

  async function flush(): Promise<void> {
    await writing;
    writing = put(batch.subarray(0, batched));
    // Whoever waits for it next is told.
    writing.catch(() => undefined);
    [batch, other] = [other, batch];
    batched = 0;
  }

  return {
    async write(chunk) {
      for (let done = 0; done < chunk.length;) {
        const part = chunk.subarray(done, done + room - batched);
        batch.set(part, batched);
        batched += part.length;
        done += part.length;
        if (batched === room) await flush();
      }
    },
    async end() {
      await flush();
      await writing;
      await onDisk;
    },
  };
}

/** What a disk that is nearly full leaves over is written again, and says so. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done)).bytesWritten;
}

/** A file to copy from; to be closed, read or not. */
export interface PackageSource extends Streamed {
  readonly size: number;
  close(): Promise<void>;
}

/** Opens a package that is to be copied from. Rejects with TerminalError (SourceMissing) when there is no such file. */
export async function openSource(path: string): Promise<PackageSource> {
  const file = await openRegular(path);
  const { size } = await file.stat();
  return { size, pieces: piecesOf(file), close: () => file.close() };
}

async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const room = Buffer.allocUnsafeSlow(chunkSize);
  for (;;) {
    const { bytesRead } = await file.read(room);
    if (bytesRead === 0) return;
    yield room.subarray(0, bytesRead);
  }
}

async function openRegular(path: string): Promise<FileHandle> {
  const missing = (how: string, cause?: unknown) =>
    new TerminalError('SourceMissing', `source ${path}: ${how}`, { cause, missing: path });
  // O_NONBLOCK: a FIFO must not hold a thread until somebody writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) throw missing('no such file', error);
    throw error;
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw missing('not a regular file');
}

/** `sha256:<hex>` of a whole file. At a start a small one is read in place. */
export async function digestOf(path: string, signal: AbortSignal): Promise<string> {
  const small = await readSmall(path);
  if (small !== null) return `sha256:${hash('sha256', small)}`;
  const hashing = createHash('sha256');
  const source = await openSource(path);
  try {
    for await (const chunk of source.pieces) {
      signal.throwIfAborted();
      hashing.update(chunk);
    }
  } finally {
    await source.close();
  }
  return `sha256:${hashing.digest('hex')}`;
}

/** Null when it is larger than a chunk, or cannot be read: openSource says why. */
async function readSmall(path: string): Promise<Uint8Array | null> {
  const file = await openFile(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => null);
  if (file === null) return null;
  try {
    const stat = await file.stat();
    return stat.isFile() && stat.size <= chunkSize ? await file.readAll() : null;
  } finally {
    await file.close();
  }
}
