// The console of a container, over one end of a socket pair that outlives this process: nothing is taken from the socket
// that a successor would not know of, and nothing is sent twice.
import { SyscallError } from '../../../native/libc.ts';
import { peek, peeked, sendFromFile, setPeeked, take } from '../../../native/socket-pair.ts';
import type { Channel } from './channel.ts';
import type { KeptFile } from './kept-file.ts';
import type { Share } from '../protocol/memory.ts';
import type { Outbox, Place } from '../protocol/outbox.ts';
import { createReader, ReadError, type ByteSource } from './reader.ts';

/** Bytes that are read at once. */
const CHUNK = 64 * 1024;

export interface KeptChannelOptions {
  readonly socket: number;
  readonly file: KeptFile;
  readonly limits: { readonly requestSize: number; readonly unread: number };
  /** Its share of what all consoles of containers may hold. */
  readonly memory: (ended: AbortSignal) => Share;
  /** Resolves when the socket has something to read, or room, or when the channel has ended. */
  ready(which: 'readable' | 'writable'): Promise<void>;
  /** Called once, when the channel has ended: the socket and the file are not used any more. */
  ended(): void;
}

/** Goes on where the file is. */
export function keptChannel({ socket, file, limits, memory, ready, ended }: KeptChannelOptions): Channel {
  const over = new AbortController();
  recover(socket, file);

  function close(): void {
    if (over.signal.aborted) return;
    over.abort();
    ended();
  }

  const source = keptSource(socket, file, ready, over.signal);
  const outbox = keptOutbox({
    socket,
    file,
    limit: limits.unread,
    ready,
    signal: over.signal,
    close,
    used: source.given,
  });
  return {
    reader: createReader(source, limits.requestSize, memory(over.signal)),
    outbox,
    signal: over.signal,
    progress: file.conversation,
    begun: file.begun,
    begin(container, run) {
      if (!over.signal.aborted) file.begin(container, run);
    },
    expect(bytes) {
      file.conversation.left = bytes;
      file.answer(source.given());
    },
    end: () => void outbox.flushed().then(close),
    destroy: close,
  };
}

/** What was written down as received is taken now if it was not; what was only looked at is looked at again. */
function recover(socket: number, file: KeptFile): void {
  const looked = peeked(socket);
  if (looked > 0 && file.peeked > 0) take(socket, Buffer.allocUnsafe(CHUNK), looked);
  else if (looked > 0) setPeeked(socket, 0);
  if (file.peeked > 0) file.received();
}

function keptSource(
  socket: number,
  file: KeptFile,
  ready: KeptChannelOptions['ready'],
  signal: AbortSignal,
): ByteSource & { given: () => number } {
  let before: Buffer | null = file.unanswered();
  /** Bytes that were given away since the last answer. */
  let given = 0;

  /** What the socket has; null: nothing. */
  function receive(): Buffer | null {
    const room = Buffer.allocUnsafe(CHUNK);
    const size = peek(socket, room);
    if (size === null || size === 0) return size === null ? null : Buffer.alloc(0);
    const bytes = room.subarray(0, size);
    file.receive(bytes);
    take(socket, Buffer.allocUnsafe(size), size);
    file.received();
    return bytes;
  }

  return {
    async chunk(stall) {
      const earlier = before;
      before = null;
      if (earlier !== null && earlier.length > 0) return Buffer.from(earlier);
      for (;;) {
        if (signal.aborted) return null;
        const bytes = unlessGone(receive);
        if (bytes !== null) return bytes.length === 0 ? null : bytes;
        await within(stall, ready('readable'));
      }
    },
    used(bytes) {
      const { conversation } = file;
      if (conversation.left === null) {
        given += bytes;
        return;
      }
      // The bytes of a package are nobody's any more.
      conversation.left -= bytes;
      file.answer(given + bytes);
      given = 0;
    },
    given() {
      const bytes = given;
      given = 0;
      return bytes;
    },
  };
}

/** Whoever hung up has said all. */
function unlessGone(receive: () => Buffer | null): Buffer | null {
  try {
    return receive();
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'ECONNRESET') return Buffer.alloc(0);
    throw error;
  }
}

async function within(milliseconds: number | undefined, event: Promise<void>): Promise<void> {
  if (milliseconds === undefined) return event;
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ReadError('the client sent nothing for too long')), milliseconds);
  });
  await Promise.race([event, silence]).finally(() => clearTimeout(timer));
}

interface OutboxOptions {
  readonly socket: number;
  readonly file: KeptFile;
  readonly limit: number;
  readonly ready: KeptChannelOptions['ready'];
  readonly signal: AbortSignal;
  readonly close: () => void;
  /** Bytes that were read since the last answer. */
  readonly used: () => number;
}

function keptOutbox(options: OutboxOptions): Outbox & { flushed: () => Promise<void> } {
  const { socket, file, limit, ready, signal, close, used } = options;
  let held: [line: string, place: Place][] | null = null;
  let heldBytes = 0;
  let flushing = Promise.resolve();

  async function flush(): Promise<void> {
    while (file.unsent() > 0 && !signal.aborted) {
      try {
        const sent = sendFromFile(socket, file.fd, file.unsent());
        if (sent === null) await ready('writable');
        else file.sent(sent);
      } catch (error) {
        if (!(error instanceof SyscallError)) throw error;
        close(); // nobody reads any more
      }
    }
  }

  function flushed(): Promise<void> {
    flushing = flushing.then(flush);
    return flushing;
  }

  function tell(lines: readonly (readonly [line: string, place: Place])[]): void {
    if (signal.aborted || lines.length === 0) return;
    for (const [line, { event, change }] of lines) {
      file.put(line);
      if (event !== undefined) file.conversation.told = event;
      if (change !== undefined) file.conversation.watched = change;
    }
    file.save();
    void flushed();
    if (file.unsent() > limit) close();
  }

  void flushed(); // what an earlier reconciler had answered
  return {
    flushed,
    async answer(message) {
      if (signal.aborted) return;
      file.put(`${JSON.stringify(message)}\n`);
      file.answer(used());
      file.conversation.left = null;
      file.save();
      await flushed();
    },
    async send(message) {
      tell([[`${JSON.stringify(message)}\n`, {}]]);
      await flushed();
    },
    notify(line, place = {}) {
      if (held === null) {
        tell([[line, place]]);
        return;
      }
      held.push([line, place]);
      heldBytes += Buffer.byteLength(line);
      if (file.unsent() + heldBytes > limit) close();
    },
    hold() {
      held ??= [];
    },
    release() {
      const lines = held ?? [];
      held = null;
      heldBytes = 0;
      tell(lines);
    },
  };
}
