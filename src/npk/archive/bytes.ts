// Bounded positional reads from an open file, with the few stretches that were read kept for the next question.
import { PackageError } from '../package-error.ts';

/** A stretch of a file that was read. */
export interface Stretch {
  readonly offset: number;
  readonly data: Buffer;
}

export interface Bytes {
  /** Length of the file in bytes. */
  readonly size: number;
  /** Exactly `length` bytes at `offset`. Throws a PackageError when the file has no such range. */
  at(offset: number, length: number): Promise<Buffer>;
  /** Reads up to `length` bytes at `offset` ahead of the questions for them. */
  fetch(offset: number, length: number): Promise<void>;
}

/** Those of a file. */
export interface FileBytes extends Bytes {
  /** Everything that was read up to now, in that order: no other bytes have been looked at. */
  stretches(): readonly Stretch[];
}

/** Where bytes are read from (pread(2)): a FileHandle, or what reads in place. */
export interface Source {
  read(into: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
}

/** Reads from an open file; the file's position is left alone. */
export function fileBytes(source: Source, size: number): FileBytes {
  const kept: Stretch[] = [];

  function find(offset: number, length: number): Buffer | null {
    const piece = kept.find((each) => each.offset <= offset && offset + length <= each.offset + each.data.length);
    return piece?.data.subarray(offset - piece.offset, offset - piece.offset + length) ?? null;
  }

  async function fetch(offset: number, length: number): Promise<void> {
    const wanted = Math.min(length, size - offset);
    if (wanted > 0 && find(offset, wanted) === null) await read(offset, wanted);
  }

  async function read(offset: number, wanted: number): Promise<Buffer> {
    const data = Buffer.allocUnsafe(wanted);
    let filled = 0;
    while (filled < wanted) {
      const { bytesRead } = await source.read(data, filled, wanted - filled, offset + filled);
      if (bytesRead === 0) throw new PackageError('archive', 'the file became shorter while it was read');
      filled += bytesRead;
    }
    kept.push({ offset, data });
    return data;
  }

  async function at(offset: number, length: number): Promise<Buffer> {
    if (offset < 0 || length < 0 || offset + length > size) {
      throw new PackageError(
        'archive',
        `bytes ${offset} to ${offset + length} lie outside of the file of ${size} bytes`,
      );
    }
    return find(offset, length) ?? (await read(offset, length));
  }

  return { size, at, fetch, stretches: () => kept };
}
