// How long the end of containers may take.
import type { ObservedAttempt } from '../../state/observed.ts';
import type { View } from '../controller.ts';

/** ms that a killed container has to be gone, and its images, groups and files with it. */
const killTime = 10_000;

/**
 * ms after which everything that runs should be down: containers that depend on each other end one after the other, each
 * within its grace and what a kill takes.
 */
export function endBound(names: Iterable<string>, viewOf: (name: string) => View): number {
  const known = new Map<string, number>();
  const endOf = (name: string): number => {
    const before = known.get(name);
    if (before !== undefined) return before;
    known.set(name, 0);
    const view = viewOf(name);
    const graces = view.attempts.map(({ version, record }) => {
      const entry = view.targets.find((target) => target.version === version)?.entry;
      return (entry?.stop ?? record.onStop).grace;
    });
    const end = Math.max(0, ...view.dependentsUp.map(endOf)) + Math.max(0, ...graces) + killTime;
    known.set(name, end);
    return end;
  };
  return Math.max(killTime, ...[...names].map(endOf));
}

/** ms in which a kill ends a container as a rule; then its groups are looked into. */
const killed = 1000;

/** When a killed container that still runs is to be ended in its groups (CLOCK_BOOTTIME in ms); null = it is not killed. */
export function overdueAt({ state, record: { stop } }: ObservedAttempt): number | null {
  return state === 'running' && stop?.killed === true && stop.deadline !== null ? stop.deadline + killed : null;
}

/** When a killed container that still runs counts as one that cannot be ended (CLOCK_BOOTTIME in ms); null = it is not killed. */
export function unendingAt({ state, record: { stop } }: ObservedAttempt): number | null {
  return state === 'running' && stop?.killed === true && stop.deadline !== null ? stop.deadline + killTime : null;
}
