// The status as `northstate get --watch` shows it, for as long as the daemon lives.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { Status } from '../state/status.ts';
import { northstate } from './command.ts';

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

  const follow = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      const child = spawn(northstate, ['get', '--watch', '-o', 'json', '--console', url], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      ended.signal.addEventListener('abort', () => child.kill());
      // What it says on stderr while no daemon listens is of no interest.
      for await (const line of createInterface(child.stdout)) {
        last = JSON.parse(line) as Status;
        for (const listener of listeners) listener(last);
      }
      last = null; // that of a daemon that is gone
      await delay(50, undefined, { signal: ended.signal }).catch(() => undefined);
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

function summary(status: Status | null): string {
  if (status === null) return 'none';
  const { containers, document, generation } = status;
  const lines = Object.entries(containers).map(([name, { conditions, ...container }]) => {
    const reasons = conditions.map(({ type, status: holds, reason }) => `${type}=${holds} ${reason}`);
    return `  ${name}: ${JSON.stringify(container)} ${reasons.join(', ')}`;
  });
  return [`  generation ${generation}, document ${JSON.stringify(document)}`, ...lines].join('\n');
}
