// The document's file: read when it is whole, and checked to be root's.
import { constants } from 'node:fs';
import { errnoOf, isMissing, messageOf } from '../errno.ts';
import { openFile } from './in-place.ts';
import { ownershipProblem, wayTo } from './trust.ts';

/** A file as it was read. */
export interface FileText {
  readonly kind: 'text';
  readonly text: string;
  /** What signs it, beside it; null = nothing that was read. */
  readonly signature: string | null;
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

/** Reads the file, at most `limit` bytes of UTF-8. */
export async function readDocumentFile(path: string, limit: number): Promise<FileResult> {
  try {
    const { components, target, problem: broken } = await wayTo(path);
    if (broken !== null) throw broken;
    if (target === null) return { kind: 'missing' };
    const problem = ownershipProblem(components);
    if (problem !== null) return { kind: 'refused', message: problem };
    return await readTarget(target, limit);
  } catch (error) {
    if (isMissing(error)) return { kind: 'missing' };
    return { kind: errnoOf(error) === null ? 'refused' : 'unreadable', message: messageOf(error) };
  }
}

async function readTarget(target: string, limit: number): Promise<FileResult> {
  // O_NONBLOCK: a FIFO in its place must not hold us.
  const handle = await openFile(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const before = await handle.stat();
    if (!before.isFile()) return { kind: 'refused', message: `${target} is not a regular file` };
    if (before.size > limit) {
      return { kind: 'refused', message: `${target} has ${before.size} bytes; at most ${limit} are read` };
    }
    const bytes = await handle.readAll();
    const after = await handle.stat();
    if (BigInt(bytes.length) !== after.size || before.mtimeNs !== after.mtimeNs || before.ctimeNs !== after.ctimeNs) {
      return { kind: 'moving' };
    }
    const { uid, gid, mode } = after;
    return {
      kind: 'text',
      text: decode(bytes),
      signature: null,
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
