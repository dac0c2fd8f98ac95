// Inside of a container: a connection of its own that carries a program's input and output, or a file.
import type { Client } from './console-client.ts';
import type { SessionEnd } from '../console/protocol/answers.ts';

/** A program that has joined a container, or a copy that is under way. */
export interface Session {
  /** name:version */
  readonly container: string;
  /** What it writes; a terminal has one stream. For one reader. */
  output(): AsyncIterable<{ readonly stream: 'stdout' | 'stderr'; readonly data: Buffer }>;
  /** Resolves when there is room for more. */
  write(data: Uint8Array): Promise<void>;
  /** There is no more input. */
  end(): Promise<void>;
  resize(size: { readonly rows: number; readonly columns: number }): Promise<void>;
  signal(number: number): Promise<void>;
  /** How it ended, once `output` has been read, which closes the connection. Rejects when that ends before. */
  readonly ended: Promise<SessionEnd>;
  /** Hangs up, which ends it. */
  close(): void;
}

/** Bytes that may be on their way to the program, and those of one message. */
const mostAhead = 256 * 1024;
const piece = 32 * 1024;

/** Joins over a connection that serves nothing else. Rejects with ConsoleError; the connection is closed then. */
export async function openSession(
  client: Client,
  request: (client: Client) => Promise<{ readonly container: string }>,
): Promise<Session> {
  const joined = await request(client).catch((error: unknown) => {
    client.close();
    throw error;
  });
  const ended = Promise.withResolvers<SessionEnd>();
  ended.promise.catch(() => undefined); // whoever waits for it hears of it
  let given = 0;
  let taken = 0;
  let room = Promise.withResolvers<void>();

  async function* output(): ReturnType<Session['output']> & AsyncGenerator {
    for await (const notification of client.notifications()) {
      if (typeof notification !== 'object') continue;
      if ('session_output' in notification) {
        const { stream, data } = notification.session_output;
        yield { stream, data: Buffer.from(data, 'base64') };
      } else if ('session_taken' in notification) {
        taken = notification.session_taken.bytes;
        room.resolve();
        room = Promise.withResolvers();
      } else if ('session_over' in notification) {
        taken = Infinity;
        room.resolve();
        ended.resolve(notification.session_over);
        // Whoever has read everything may forget the session: the connection serves nothing else.
        client.close();
        return;
      }
    }
    ended.reject(new Error('the console ended the connection, and with it the session'));
    taken = Infinity;
    room.resolve();
  }

  /** What comes too late for the program is nobody's. */
  async function tell(message: Promise<unknown>): Promise<void> {
    await message.catch((error: unknown) => {
      if (taken !== Infinity) throw error;
    });
  }

  return {
    container: joined.container,
    output,
    async write(data) {
      for (let at = 0; at < data.length; at += piece) {
        const part = data.subarray(at, at + piece);
        while (given - taken > mostAhead) await room.promise;
        if (taken === Infinity) return;
        given += part.length;
        await tell(client.call('session_input', { data: Buffer.from(part).toString('base64') }));
      }
    },
    async end() {
      await tell(client.call('session_input', { data: '', end: true }));
    },
    async resize(size) {
      await tell(client.call('session_resize', size));
    },
    async signal(signal) {
      await tell(client.call('session_signal', { signal }));
    },
    ended: ended.promise,
    close: () => client.close(),
  };
}
