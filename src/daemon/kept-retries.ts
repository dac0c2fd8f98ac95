// Steps that failed and are to be tried again: a process that comes after this one, after a sleep or a crash, waits as long.
import type { KeptRetries, Retry } from '../../controllers/reconcile/loop.ts';
import type { KeptValue } from './kept-value.ts';

/** The step of one is its whole text; all of them together are not more than this many characters. */
const longest = 256 * 1024;

/** The newest count when they are too many. */
export function keptRetries(value: KeptValue<readonly Retry[]>): KeptRetries {
  return {
    earlier: value.get() ?? [],
    keep(retries) {
      let size = 0;
      const kept = retries
        .toReversed()
        .filter(({ step, failure }) => (size += step.length + failure.message.length) <= longest);
      value.set(kept.toReversed());
    },
  };
}
