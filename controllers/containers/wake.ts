// When to look at a name again, though nothing happens: deadlines of stops, restarts, readiness, timeouts. Pure.
import type { ObservedAttempt } from '../../state/observed.ts';
import type { Target, View } from '../controller.ts';
import { overdueAt, unendingAt } from './end-bound.ts';
import { wakeAt } from '../../state/schedule.ts';
import { nextOf } from './readiness.ts';
import { scheduleFacts } from './scheduled.ts';
import type { Verdict } from './restart.ts';

/** The next such time (CLOCK_BOOTTIME in ms); null = no time changes anything. `target` is what should run, `running` what does, `unlocksAt` when a lock ends that holds something up. */
export function wakeOf(
  view: View,
  target: Target | null,
  running: readonly ObservedAttempt[],
  verdict: Verdict | null,
  unlocksAt: number | null,
): number | null {
  const times = running.flatMap((attempt) => {
    const { stop: ending } = attempt.record;
    if (ending === null || ending.deadline === null)
      return targetsOf(view, target, attempt).flatMap((each) => nextOf(attempt, each, view.now) ?? []);
    return ending.killed ? [overdueAt(attempt) ?? [], unendingAt(attempt) ?? []].flat() : [ending.deadline];
  });
  if (verdict?.kind === 'backoff') times.push(verdict.at);
  if (view.opensAt !== null) times.push(view.opensAt);
  if (unlocksAt !== null) times.push(unlocksAt);
  for (const { entry } of view.targets) {
    if (entry.run?.by !== 'schedule' || entry.schedule === null || view.schedule === null) continue;
    times.push(...[wakeAt(view.schedule, entry.schedule, scheduleFacts(view, entry)) ?? []].flat());
  }
  const later = times.filter((time) => time > view.now);
  return later.length === 0 ? null : Math.min(...later);
}

/** The targets whose status tells of an attempt: another entry may name the same version. */
function targetsOf({ targets }: View, target: Target | null, { version }: ObservedAttempt): readonly Target[] {
  return targets.filter((each) => each === target || each.version === version);
}
