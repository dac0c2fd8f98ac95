// A connection that comes back: after an end it is made again, later and later, until somebody closes it.
import { setTimeout as delay } from 'node:timers/promises';
import { ConnectionLost, type Client } from './console-client.ts';

/** ms before the first new try, and the longest between two; each is made up to a half shorter by chance. */
const firstPause = 100;
const longestPause = 5000;
/** A connection that ended sooner was no good, ms: the next one comes after a pause. */
const shortLife = 1000;
/** How often in a row a console may hang up at a request. */
const mostHangUps = 5;

export interface Link {
  /** The present connection, or the next one when it is there. Rejects when the link is closed, or cannot come about. */
  client(): Promise<Client>;
  /**
   * What `act` gives; with `again` it is done once more on the next connection when one ends before the answer. A console that
   * hangs up at it every time does not know the request, which is called `name`.
   */
  use<T>(name: string, act: (client: Client) => Promise<T>, again: boolean): Promise<T>;
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
  let openedAt = 0;
  let shortLives = 0;

  async function client(): Promise<Client> {
    if (ended.signal.aborted) throw new ConnectionLost('the client is closed');
    return await (current ??= connect());
  }

  async function connect(): Promise<Client> {
    if (wasOpen && !reconnect) throw new ConnectionLost('the console ended the connection');
    try {
      if (shortLives > 0) await pauseFor(firstPause * 2 ** (shortLives - 1), ended.signal);
      const found = await untilOpen(open, wasOpen ? later : first, ended.signal);
      wasOpen = true;
      openedAt = performance.now();
      void found.closed.then(() => {
        shortLives = performance.now() - openedAt < shortLife ? shortLives + 1 : 0;
        current = null;
      });
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
    async use(name, act, again) {
      for (let hangUps = 1; ; hangUps++) {
        const present = await client();
        try {
          return await act(present);
        } catch (error) {
          if (!(error instanceof ConnectionLost && again && reconnect)) throw error;
          if (hangUps === mostHangUps) throw new ConnectionLost(`this console does not know \`${name}\`: it hangs up`);
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
      await pauseFor(Math.min(left, pause), signal);
    }
  }
}

/** Up to a half shorter by chance, and never longer than the longest, ms. */
async function pauseFor(pause: number, signal: AbortSignal): Promise<void> {
  await delay(Math.min(pause, longestPause) * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {
    throw new ConnectionLost('the client is closed');
  });
}
