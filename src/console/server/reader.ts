// Lines and raw stretches of bytes from one stream, in the order in which they are asked for. Nothing is taken
// from the kernel that nobody asked for, so a client that sends faster than it is served is slowed by its own socket.
import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Share } from '../protocol/memory.ts';

/** The client broke a limit of the connection, or hung up where more was due. The connection ends without an answer. */
export class ReadError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ReadError';
  }
}

/** A stretch of raw bytes within the stream. */
export interface Stretch {
  /** Its bytes, piece by piece; each is valid until the next one is asked for. A ReadError ends them. */
  readonly pieces: AsyncIterable<Uint8Array>;
  /** Reads on to the end of the stretch and throws the bytes away; rejects when the client stalls or hangs up. */
  skip(): Promise<void>;
}

export interface Reader {
  /** The next line without its end (LF or CRLF), null when the client hung up; ReadError when it is too long or no UTF-8. */
  line(): Promise<string | null>;
  /** The next `size` bytes. A client that sends nothing for `stall` ms ends the stretch with a ReadError. */
  bytes(size: number, stall: number): Stretch;
}

/** Bytes of memory that a connection keeps between lines. */
const IDLE = 16 * 1024;

/** Where bytes come from. */
export interface ByteSource {
  /** What came since, null at the end of the stream; with `stall`, ReadError after so many ms of silence. */
  chunk(stall?: number): Promise<Buffer | null>;
  /** So many of them were given to whoever reads. */
  used(bytes: number): void;
}

/** The bytes of a socket that nobody else may read. */
export function socketSource(socket: Socket): ByteSource {
  let wake: (() => void) | null = null;
  let over = false;

  const poke = (): void => {
    wake?.();
    wake = null;
  };
  const finish = (): void => {
    over = true;
    poke();
  };
  socket.on('readable', poke).on('end', finish).on('close', finish).on('error', finish);

  async function chunk(stall?: number): Promise<Buffer | null> {
    for (;;) {
      const data = socket.read() as Buffer | null;
      if (data !== null) return data;
      if (over) return null;
      let timer: NodeJS.Timeout | undefined;
      const spoke = await new Promise<boolean>((resolve) => {
        wake = () => resolve(true);
        if (stall !== undefined) timer = setTimeout(resolve, stall, false);
      });
      clearTimeout(timer);
      if (!spoke) throw new ReadError('the client sent nothing for too long');
    }
  }

  return { chunk, used: () => undefined };
}

/** Reads from a source, which nobody else may read; a line may have `limit` bytes. `share` is told what is held. */
export function createReader({ chunk, used }: ByteSource, limit: number, share: Share): Reader {
  let held = Buffer.alloc(0);
  let begin = 0;
  let end = 0;

  function keep(data: Buffer): void {
    if (end + data.length > held.length) {
      const grown = Buffer.allocUnsafe(Math.max(4096, 2 * (end - begin + data.length)));
      held.copy(grown, 0, begin, end);
      end -= begin;
      begin = 0;
      held = grown;
      if (!share.hold(held.length)) throw new ReadError('all connections together hold too much');
    }
    data.copy(held, end);
    end += data.length;
  }

  /** Nothing is held: a connection that once sent a long line does not keep its memory. */
  function rest(): void {
    begin = end = 0;
    if (held.length <= IDLE) return;
    held = Buffer.alloc(0);
    share.hold(0);
  }

  /** Gives away what is held. */
  function release(): Buffer {
    const data = Buffer.from(held.subarray(begin, end));
    begin = end = 0;
    return data;
  }

  async function line(): Promise<string | null> {
    for (let searched = 0; ;) {
      const found = held.subarray(0, end).indexOf(0x0a, begin + searched);
      searched = end - begin;
      if ((found < 0 ? searched : found - begin) > limit) throw new ReadError(`a line is longer than ${limit} bytes`);
      if (found >= 0) {
        const text = held.subarray(begin, held[found - 1] === 0x0d && found > begin ? found - 1 : found);
        used(found + 1 - begin);
        begin = found + 1;
        if (!isUtf8(text)) throw new ReadError('a line is not UTF-8');
        const line = text.toString();
        if (begin === end) rest();
        return line;
      }
      const data = await chunk();
      if (data === null) return null;
      keep(data);
    }
  }

  function bytes(size: number, stall: number): Stretch {
    let left = size;

    async function piece(): Promise<Buffer> {
      const data = begin < end ? release() : await chunk(stall);
      if (data === null) throw new ReadError(`the client hung up ${left} bytes before the end`);
      if (data.length > left) keep(data.subarray(left));
      const part = data.subarray(0, left);
      left -= part.length;
      used(part.length);
      return part;
    }

    let pulling: Promise<unknown> = Promise.resolve();
    let skipped = false;
    const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
      if (left === 0 || skipped) return { done: true, value: undefined };
      const pulled = piece();
      pulling = pulled;
      return { done: false, value: await pulled };
    };
    return {
      pieces: { [Symbol.asyncIterator]: () => ({ next }) },
      async skip() {
        skipped = true;
        // Whoever reads hears of an error; when nobody does any more, this throws the same one.
        await pulling;
        while (left > 0) await piece();
      },
    };
  }

  return { line, bytes };
}
