// Locks: an application that must not be interrupted says so, and its replacement waits. They are in the record of its run, which the
// launcher keeps: they outlive the reconciler, and end with the run.
import type { ObservedAttempt } from '../../state/observed.ts';
import { lockedUntil } from '../../state/locked-until.ts';
import { encodeRecord } from './attempt-record.ts';
import type { View, Target } from '../controller.ts';

export interface LockPorts {
  /** Has the launcher keep a record with an attempt. */
  readonly record: (id: number, bytes: Uint8Array) => Promise<void>;
  /** Takes an attempt into the observed state. */
  readonly observe: (attempt: ObservedAttempt) => void;
}

/** ms for which nothing must be locked until another stretch begins: time enough for what waits. */
const gap = 1000;

/** How long one stretch of locks may last, of both together. */
export interface Stretch {
  /** CLOCK_BOOTTIME in ms. */
  readonly now: number;
  /** ms */
  readonly max: number;
}

/**
 * Keeps one of the two locks of an attempt until then (CLOCK_BOOTTIME in ms; now = no longer), and gives until when it is kept: whoever
 * asks again and again comes to the end of a stretch as well. Rejects with a LaunchError.
 */
export async function keepLock(
  attempt: ObservedAttempt,
  which: 'console' | 'file',
  until: number,
  { now, max }: Stretch,
  { record: keep, observe }: LockPorts,
): Promise<number> {
  const before = attempt.record.locks ?? { console: 0, file: 0, since: 0 };
  const goesOn = before.since > 0 && now < Math.max(before.console, before.file) + gap;
  const since = goesOn ? before.since : now;
  const kept = Math.min(until, since + max);
  if (kept <= now && before[which] <= now) return kept;
  const record = { ...attempt.record, locks: { ...before, [which]: kept, since } };
  await keep(attempt.id, encodeRecord(record));
  observe({ ...attempt, record });
  return kept;
}

/** What is said of a step that a lock holds up begins so. */
const heldUp = 'a lock holds it up';

/**
 * Why what runs is not replaced yet for its lock; null = there is none that counts. An order to run once more, a way back and what somebody
 * has forced are not held up.
 */
export function lockWaits({ now, passesLocks }: View, { replacing }: Target, current: ObservedAttempt): string | null {
  const until = lockedUntil(current);
  if (passesLocks || until <= now || current.record.entry === replacing) return null;
  return `${heldUp} for ${Math.ceil((until - now) / 1000)} s at most, unless ${current.name} gives it back`;
}
