// The schedules controller: records are written down before anything is started by them.
import { partOf, type Part, type View } from '../controller.ts';
import { scheduleFacts } from '../containers/scheduled.ts';
import { changed, type ScheduleRecord, type SchedulePorts } from '../../state/schedule.ts';
import { planSchedules, scheduledOf, type ScheduleStep } from './schedules-plan.ts';

export interface SchedulesPorts {
  view(name: string): View;
  /** Writes a record down, or takes it away (null); resolves when it is durable, or as durable as can be. */
  keep(name: string, record: ScheduleRecord | null): Promise<void>;
  observe(name: string, record: ScheduleRecord | null): void;
  random(): number;
  /** What reads cron patterns, loaded when one is first needed. */
  cron(): Promise<(pattern: string, zone: string, after: number) => number | null>;
}

/** Performs one change of a record. */
export async function actOnSchedule({ name }: ScheduleStep, ports: SchedulesPorts): Promise<void> {
  const cronAfter = scheduledOf(ports.view(name))?.entry.schedule.kind === 'cron' ? await ports.cron() : null;
  const view = ports.view(name);
  const target = scheduledOf(view);
  const next = target === null ? null : nextRecord(view, target, ports.random.bind(ports), cronAfter);
  if (next === view.schedule) return;
  await ports.keep(name, next);
  ports.observe(name, next);
}

function nextRecord(
  view: View,
  { entry }: NonNullable<ReturnType<typeof scheduledOf>>,
  random: () => number,
  cronAfter: Awaited<ReturnType<SchedulesPorts['cron']>> | null,
): ScheduleRecord | null {
  const nextCron: SchedulePorts['nextCron'] = ({ cron, zone }, after) => cronAfter?.(cron, zone, after) ?? null;
  return changed(view.schedule, entry.schedule, scheduleFacts(view, entry), { random, nextCron });
}

/** The part of the reconciler that it is. */
export function schedulesPart(ports: SchedulesPorts): Part {
  return partOf(planSchedules, (step) => actOnSchedule(step, ports));
}
