// What could not be read or written is tried again, less and less often, until it goes well.
import { setTimeout as wait } from 'node:timers/promises';
import { errnoOf } from './errno.ts';

export interface Retry {
  /** It has failed: `again` is called after 100 ms, the next time after 200 ms, and so on up to 30 s. */
  failed(): void;
  /** It went well: nothing more is tried, and the next failure begins with the shortest wait. */
  over(): void;
}

/**
 * What cannot be gone on without: read again, less and less often, as long as the system refuses it. Rejects with what no system
 * call says; `failed` is told of the others.
 */
export async function untilRead<T>(read: () => Promise<T> | T, failed: (error: unknown) => void): Promise<T> {
  for (let pause = first; ; pause = Math.min(2 * pause, last / 10)) {
    try {
      return await read();
    } catch (error) {
      if (errnoOf(error) === null) throw error;
      failed(error);
      await wait(pause);
    }
  }
}

const first = 100;
const last = 30_000;

/** `again` is called once for each `failed`, however many came meanwhile. */
export function createRetry(again: () => void): Retry {
  let count = 0;
  let timer: NodeJS.Timeout | null = null;
  return {
    failed() {
      if (timer !== null) return;
      timer = setTimeout(
        () => {
          timer = null;
          again();
        },
        Math.min(last, first * 2 ** Math.min(count, 20)),
      );
      count += 1;
    },
    over() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      count = 0;
    },
  };
}
