// The status as the console tells it, for as long as the daemon lives.
import { setTimeout as delay } from 'node:timers/promises';
import { connect, ConnectionLost, NoConsole } from '../../src/client/northstate.ts';
import type { Status } from '../../state/status.ts';

export interface Feed {
  /** Calls the listener with the present status and every further one; gives the function that ends it. */
  readonly listen: (listener: (status: Status) => void) => () => void;
  /** The first status that fits, from the present one on. Rejects after `milliseconds`, naming `what` and the last status. */
  readonly until: (what: string, fits: (status: Status) => boolean, milliseconds: number) => Promise<Status>;
  readonly close: () => void;
}

/** Follows the status over restarts of the reconciler, whose connections end with it, until `exited` resolves. */
export function watchStatus(url: string, exited: Promise<unknown>): Feed {
  const listeners = new Set<(status: Status) => void>();
  const ended = new AbortController();
  let last: Status | null = null;
  void exited.then(() => ended.abort());

  /** Until the console hangs up. */
  const read = async (): Promise<void> => {
    await using client = await connect({ url, reconnect: false });
    const hangUp = (): void => client.close();
    ended.signal.addEventListener('abort', hangUp);
    for await (const { status } of client.watch()) {
      last = status;
      for (const listener of listeners) listener(last);
    }
    ended.signal.removeEventListener('abort', hangUp);
  };
  const follow = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await read().catch((error: unknown) => {
        if (!isHangUp(error)) throw error;
      });
      last = null; // that of a daemon that is gone
      await delay(20, undefined, { signal: ended.signal }).catch(() => undefined);
    }
  };
  void follow();

  const listen = (listener: (status: Status) => void): (() => void) => {
    listeners.add(listener);
    if (last !== null) listener(last);
    return () => listeners.delete(listener);
  };
  return {
    listen,
    close: () => ended.abort(),
    until: (what, fits, milliseconds) =>
      new Promise((resolve, reject) => {
        const finish = (act: () => void): void => {
          clearTimeout(timer);
          ended.signal.removeEventListener('abort', gone);
          listeners.delete(check);
          act();
        };
        const check = (status: Status): void => {
          if (fits(status)) finish(() => resolve(status));
        };
        const refuse = (why: string): void =>
          finish(() => reject(new Error(`${what}: ${why}; last status:\n${summary(last)}`)));
        const gone = (): void => refuse('northstate has ended');
        const timer = setTimeout(() => refuse(`not within ${milliseconds} ms`), milliseconds);
        ended.signal.addEventListener('abort', gone);
        listeners.add(check);
        if (ended.signal.aborted) gone();
        else if (last !== null) check(last);
      }),
  };
}

/** Nobody listens, or whoever did has died. */
function isHangUp(error: unknown): boolean {
  return error instanceof NoConsole || error instanceof ConnectionLost;
}

function summary(status: Status | null): string {
  if (status === null) return 'none';
  const { containers, document, generation } = status;
  const lines = Object.entries(containers).map(([name, { conditions, ...container }]) => {
    const reasons = conditions.map(({ type, status: holds, reason }) => `${type}=${holds} ${reason}`);
    return `  ${name}: ${JSON.stringify(container)} ${reasons.join(', ')}`;
  });
  return [`  generation ${generation}, document ${JSON.stringify(document)}`, ...lines].join('\n');
}
