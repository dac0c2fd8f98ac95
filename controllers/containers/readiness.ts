// When what runs is ready, and when a run has failed though it goes on. Pure.
import type { Fault, ObservedAttempt } from '../../state/observed.ts';
import type { Target, View } from '../controller.ts';

/** A run is ready at this time (CLOCK_BOOTTIME in ms), which may be yet to come. */
export function readyAt({ startedAt }: ObservedAttempt, { entry }: Pick<Target, 'entry'>): number {
  return startedAt + entry.settle;
}

/** When a run has lasted for as long as it may (CLOCK_BOOTTIME in ms); null: there is no such time. */
export function overdueAt({ startedAt }: ObservedAttempt, { entry }: Pick<Target, 'entry'>): number | null {
  return entry.timeout === null ? null : startedAt + entry.timeout;
}

/** Why a run is to be ended, or is being ended, for what it does or does not; null: it may go on. */
export function faultOf({ now }: View, target: Target, attempt: ObservedAttempt): Fault | null {
  const { stop } = attempt.record;
  if (stop !== null) return stop.fault ?? null;
  const overdue = overdueAt(attempt, target);
  return overdue !== null && now >= overdue ? 'TimedOut' : null;
}

/** What a person is told of it. */
export function faultText(fault: Fault): string {
  return { TimedOut: 'has run for longer than its timeout and was ended' }[fault];
}

/** The next time at which it is ready or has lasted too long, null when there is none to come. */
export function nextOf(attempt: ObservedAttempt, target: Target, now: number): number | null {
  if (attempt.record.stop !== null) return null;
  const times = [readyAt(attempt, target), overdueAt(attempt, target)].filter((at) => at !== null && at > now);
  return times.length === 0 ? null : Math.min(...times.map((at) => at ?? Infinity));
}
