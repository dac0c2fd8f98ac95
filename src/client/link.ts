// A connection that comes back: after an end it is made again, later and later, until somebody closes it.
import { setTimeout as delay } from 'node:timers/promises';
import { ConnectionLost, type Client } from './console-client.ts';

/** ms before the first new try, and the longest between two; each is made up to a half shorter by chance. */
const firstPause = 100;
const longestPause = 5000;

export interface Link {
  /** The present connection, or the next one when it is there. Rejects when the link is closed, or cannot come about. */
  client(): Promise<Client>;
  /** What `act` gives; with `again` it is done once more on the next connection when one ends before the answer. */
  use<T>(act: (client: Client) => Promise<T>, again: boolean): Promise<T>;
  close(): void;
  isClosed(): boolean;
}

export interface LinkOptions {
  readonly open: () => Promise<Client>;
  /** Whether to connect again when a connection has ended. */
  readonly reconnect: boolean;
  /** How long to try for the first connection, in ms, before the error of the last try is given; 0 = one try. */
  readonly first: number;
  /** The same for every later one. */
  readonly later: number;
}

/** Makes a link; nothing is connected before it is asked for. */
export function createLink({ open, reconnect, first, later }: LinkOptions): Link {
  const ended = new AbortController();
  let current: Promise<Client> | null = null;
  let wasOpen = false;

  async function client(): Promise<Client> {
    if (ended.signal.aborted) throw new ConnectionLost('the client is closed');
    return await (current ??= connect());
  }

  async function connect(): Promise<Client> {
    if (wasOpen && !reconnect) throw new ConnectionLost('the console ended the connection');
    try {
      const found = await untilOpen(open, wasOpen ? later : first, ended.signal);
      wasOpen = true;
      void found.closed.then(() => (current = null));
      if (ended.signal.aborted) found.close();
      return found;
    } catch (error) {
      current = null;
      throw error;
    }
  }

  return {
    isClosed: () => ended.signal.aborted,
    client,
    async use(act, again) {
      for (;;) {
        const present = await client();
        try {
          return await act(present);
        } catch (error) {
          if (!(error instanceof ConnectionLost && again && reconnect)) throw error;
          await present.closed;
        }
      }
    },
    close() {
      ended.abort();
      void current?.then(
        (present) => present.close(),
        () => undefined,
      );
    },
  };
}

/** Tries until a connection is there; gives the error of the last try after `patience` ms. */
async function untilOpen(open: () => Promise<Client>, patience: number, signal: AbortSignal): Promise<Client> {
  const until = performance.now() + patience;
  for (let pause = firstPause; ; pause = Math.min(2 * pause, longestPause)) {
    try {
      return await open();
    } catch (error) {
      const left = until - performance.now();
      if (left <= 0) throw error;
      await delay(Math.min(left, pause * (0.5 + Math.random() / 2)), undefined, { signal }).catch(() => {
        throw new ConnectionLost('the client is closed');
      });
    }
  }
}
