// Failures of steps: a process that comes after this one, after a sleep or a crash, waits as long, and tries what no retry can
// mend only when what it stands on has changed.
import type { KeptFailure, KeptFailures } from '../../controllers/reconcile/standing-failures.ts';
import type { KeptValue } from './kept-value.ts';

/** The step of one is its whole text; all of them together are not more than this many characters. */
const longest = 256 * 1024;

/** The newest count when they are too many. */
export function keptFailures(value: KeptValue<readonly KeptFailure[]>): KeptFailures {
  return {
    earlier: value.get() ?? [],
    keep(failures) {
      let size = 0;
      const kept = failures
        .toReversed()
        .filter(({ step, failure }) => (size += step.length + failure.message.length) <= longest);
      value.set(kept.toReversed());
    },
  };
}
