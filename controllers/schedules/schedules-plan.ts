// The schedules controller: what is remembered of when a container starts next, and of which start is owed. The start itself
// is the containers controller's. Pure.
import { scheduleFacts } from '../containers/scheduled.ts';
import type { Step, Target, View } from '../controller.ts';
import { changeOf, type Schedule, type ScheduleChange } from '../../state/schedule.ts';

export interface ScheduleStep extends Step {
  readonly op: 'schedule';
  /** What has happened; null: nothing of this name has a schedule any more. */
  readonly change: ScheduleChange | null;
}

/** The target of a name that has a schedule, and wants to run by it. */
export function scheduledOf({ targets, stopping }: View): (Target & { entry: { schedule: Schedule } }) | null {
  if (stopping) return null;
  const found = targets.find(({ entry }) => entry.state === 'running' && entry.schedule !== null);
  return (found ?? null) as ReturnType<typeof scheduledOf>;
}

/** One step at a time: each leads to a record that says what the next is. */
export function planSchedules(view: View): ScheduleStep[] {
  const { name, schedule: record, stopping } = view;
  const target = scheduledOf(view);
  if (target === null) {
    // While somebody runs it once, the entry and its times stay.
    const goes = record !== null && !stopping && !view.targets.some(({ entry }) => entry.run?.by === 'once');
    return goes ? [{ op: 'schedule', name, change: null, waits: null }] : [];
  }
  const change = changeOf(record, target.entry.schedule, scheduleFacts(view, target.entry));
  return change === null ? [] : [{ op: 'schedule', name, change, waits: null }];
}
