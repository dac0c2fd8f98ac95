// The console of a container, over one end of a socket pair that outlives this process: nothing is taken from the socket
// that a successor would not know of, and nothing is sent twice.
import { SyscallError } from '../../../native/libc.ts';
import type { Channel } from './channel.ts';
import { createExchange, type Exchange } from './kept-exchange.ts';
import type { KeptFile } from './kept-file.ts';
import type { Share } from '../protocol/memory.ts';
import type { Outbox, Place } from '../protocol/outbox.ts';
import { createReader, ReadError, type ByteSource } from './reader.ts';

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

  function close(): void {
    if (over.signal.aborted) return;
    over.abort();
    ended();
  }

  const exchange = createExchange(socket, file, close);
  const source = keptSource(exchange, file, ready, over.signal);
  const outbox = keptOutbox({ exchange, file, limit: limits.unread, ready, signal: over.signal, close });
  return {
    reader: createReader(source, limits.requestSize, memory(over.signal)),
    outbox,
    signal: over.signal,
    progress: file.conversation,
    begun: file.begun,
    received() {
      if (!over.signal.aborted) exchange.settle();
    },
    begin(container, run) {
      if (!over.signal.aborted) file.begin(container, run);
    },
    expect(bytes) {
      file.conversation.left = bytes;
      file.answer(exchange.given());
    },
    end: () => void outbox.flushed().then(close),
    destroy: close,
  };
}

function keptSource(
  { receive, used }: Exchange,
  file: KeptFile,
  ready: KeptChannelOptions['ready'],
  signal: AbortSignal,
): ByteSource {
  let before: Buffer | null = file.unanswered();

  return {
    used,
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
  readonly exchange: Exchange;
  readonly file: KeptFile;
  readonly limit: number;
  readonly ready: KeptChannelOptions['ready'];
  readonly signal: AbortSignal;
  readonly close: () => void;
}

function keptOutbox(options: OutboxOptions): Outbox & { flushed: () => Promise<void> } {
  const { exchange, file, limit, ready, signal, close } = options;
  let held: [line: string, place: Place][] | null = null;
  let heldBytes = 0;
  let flushing: Promise<void> | null = null;

  /** Waits until all is sent, or nobody reads any more. */
  function flushed(): Promise<void> {
    if (!signal.aborted) exchange.settle();
    if (flushing !== null) return flushing;
    if (signal.aborted || exchange.send()) return sent;
    flushing = flush().finally(() => (flushing = null));
    return flushing;
  }

  async function flush(): Promise<void> {
    do await ready('writable');
    while (!signal.aborted && !exchange.send());
  }

  function tell(lines: readonly (readonly [line: string, place: Place])[]): void {
    if (signal.aborted || lines.length === 0) return;
    exchange.settle();
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
      exchange.settle();
      file.put(`${JSON.stringify(message)}\n`);
      file.answer(exchange.given());
      file.conversation.left = null;
      file.save();
      await flushed();
    },
    answerLine: (line) => (signal.aborted || exchange.gather(line) ? null : flushed()),
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

const sent = Promise.resolve();
