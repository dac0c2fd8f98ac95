// A container that is started at certain times: what its schedule goes by, and whether it is to run now. Pure.
import type { ContainerEntry } from '../../state/desired.ts';
import { isOf } from '../../state/ended-run.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { ScheduleFacts } from '../../state/schedule.ts';
import type { Target, View } from '../controller.ts';
import { hasRun, judge, type Verdict } from './restart.ts';

/** What decides about the schedule of an entry at this instant. */
export function scheduleFacts(
  { attempts, ran, schedule, now, boot, wall }: View,
  entry: ContainerEntry,
): ScheduleFacts {
  const own = attempts.filter((attempt) => isOf(entry, attempt));
  const owed = schedule?.owed ?? null;
  const last = schedule?.last ?? null;
  const isPast = ({ state }: ObservedAttempt): boolean => state === 'running' || state === 'exited';
  const runs = own.some(
    ({ state, going }) => state === 'running' || (going && state !== 'exited' && state !== 'failed'),
  );
  const isNoted = ran !== null && ran.run === owed && hasRun(ran, own);
  const begun = own.some((attempt) => attempt.record.run === owed && isPast(attempt)) || isNoted;
  const ended = own.findLast(({ record, state }) => record.run === last?.run && state === 'exited')?.exit ?? null;
  const numbers = [...own.map(({ record }) => record.run ?? 0), ran?.run ?? 0];
  return { now, boot, wall, runs, begun: owed !== null && begun, ended, highest: Math.max(...numbers) };
}

/** Judges a target whose run is its schedule's, and of which nothing runs. */
export function judgeScheduled(view: View, target: Target, made: string | null): Verdict {
  const { run } = target.entry;
  const last = view.attempts.findLast((attempt) => isOf(target.entry, attempt)) ?? null;
  const exit = last?.exit ?? view.schedule?.last?.exit ?? null;
  if (run?.due !== true) {
    const isLast = last === null ? view.ran !== null && view.ran.run === run?.id : last.record.run === run?.id;
    // What somebody has stopped comes again when it is due.
    const stopped = last?.record.stop ?? null;
    if (!isLast || (stopped !== null && stopped.fault === undefined)) return { kind: 'scheduled', exit };
  }
  const verdict = judge(view, target, made);
  return verdict.kind === 'exited' ? { kind: 'scheduled', exit: verdict.exit } : verdict;
}
