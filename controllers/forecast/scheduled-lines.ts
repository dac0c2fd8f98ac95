// What a document changes about when containers are started, for a person. Pure.
import { scheduleFacts } from '../containers/scheduled.ts';
import type { View } from '../controller.ts';
import { planSchedules, scheduledOf } from '../schedules/schedules-plan.ts';
import { changed, type Schedule, type SchedulePorts } from '../../state/schedule.ts';

export interface ScheduledLine {
  readonly op: 'schedule';
  readonly name: string;
  readonly text: string;
  readonly waits: null;
}

/** One for each name whose schedule is new, another or gone: what it will be started by, and when first. */
export function scheduledLines(views: readonly View[], nextCron: SchedulePorts['nextCron']): ScheduledLine[] {
  return views.flatMap((view) => {
    const { name } = view;
    const [step] = planSchedules(view);
    const schedule = scheduledOf(view)?.entry.schedule ?? null;
    if (step?.change === null)
      return [{ op: 'schedule', name, text: `start ${name} by no schedule any more`, waits: null }];
    // A clock that has not been set lets nothing begin yet; what it will be is known.
    const waits = schedule?.kind === 'cron' && view.wall === null && view.schedule === null;
    if (schedule === null || (step?.change !== 'begin' && !waits)) return [];
    return [
      {
        op: 'schedule',
        name,
        text: `start ${name} ${manner(schedule)}, ${first(view, schedule, nextCron)}`,
        waits: null,
      },
    ];
  });
}

function manner(schedule: Schedule): string {
  const late = schedule.jitter === 0 ? '' : `, up to ${duration(schedule.jitter)} later`;
  const times =
    schedule.kind === 'every' ? `every ${duration(schedule.every)}` : `at "${schedule.cron}" (${schedule.zone})`;
  return times + late;
}

/** When it is due first, without the part that is left to chance. */
function first(view: View, schedule: Schedule, nextCron: SchedulePorts['nextCron']): string {
  const target = scheduledOf(view);
  if (target === null || (schedule.kind === 'cron' && view.wall === null)) return 'once the clock has been set';
  const facts = scheduleFacts(view, target.entry);
  const next = changed(view.schedule, schedule, facts, { random: () => 0, nextCron })?.next ?? null;
  if (next === null) return 'which never comes';
  const { now, wall } = view;
  if (schedule.kind === 'every') return next.at <= now ? 'first at once' : `first in ${duration(next.at - now)}`;
  return `first on ${new Date(next.at).toISOString().replace('.000', '')}${wall === null ? '' : ` (in ${duration(next.at - wall)})`}`;
}

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** The two largest units of it: `1d 2h`, `15m`, `1s`. */
function duration(ms: number): string {
  let left = Math.round(ms / 1000) * 1000;
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? `${ms}ms` : parts.slice(0, 2).join(' ');
}
