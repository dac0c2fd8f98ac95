// Long computations that hold nobody up: a little at a time, and everybody else has a turn between.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { monotonic } from './monotonic.ts';

/** ms that a computation may take before the event loop gets its turn. */
const SLICE = 2;

/** What a computation yields nothing but turns for. */
export type Sliced<T> = Generator<undefined, T, undefined>;

/** Carries it out slice by slice; null when it is of no use any more, which is asked between them. */
export async function inSlices<T>(work: Sliced<T>, isOfUse: () => boolean = () => true): Promise<T | null> {
  for (let began = monotonic(); ;) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (monotonic() - began < SLICE) continue;
    await nextTurn();
    if (!isOfUse()) return null;
    began = monotonic();
  }
}

/** Carries it out at once. */
export function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
