// How long a run holds up its replacement.
import type { ObservedAttempt } from './observed.ts';

/** Until when an attempt is locked: CLOCK_BOOTTIME in ms, 0 = it is not. */
export function lockedUntil({ record: { locks } }: Pick<ObservedAttempt, 'record'>): number {
  return Math.max(locks?.console ?? 0, locks?.file ?? 0);
}
