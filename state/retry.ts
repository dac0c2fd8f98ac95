// What could not be read or written is tried again, less and less often, until it goes well.

export interface Retry {
  /** It has failed: `again` is called after 100 ms, the next time after 200 ms, and so on up to 30 s. */
  failed(): void;
  /** It went well: nothing more is tried, and the next failure begins with the shortest wait. */
  over(): void;
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
