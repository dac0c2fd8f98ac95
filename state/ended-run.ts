// When the run that an entry asks for is over: it has ended, and nothing answers that. Pure.
import type { ContainerEntry, RunBy } from './desired.ts';
import type { ObservedAttempt, Ran } from './observed.ts';
import type { Exit } from './signals.ts';

/** What is remembered of a name's runs. */
export interface Remembered {
  readonly attempts: readonly ObservedAttempt[];
  readonly ran: Ran | null;
}

type Asking = Pick<ContainerEntry, 'run' | 'schedule'>;

/** Whose runs an entry is about: the document's own, its schedule's, or that of somebody who asked for one. */
function runsOf({ run, schedule }: Asking): RunBy | null {
  return run?.by ?? (schedule === null ? null : 'schedule');
}

/** Whether an attempt is one that the entry is about; null: one of any entry, but of nobody who asked for it once. */
export function isOf(entry: Asking | null, { record: { by, run } }: Pick<ObservedAttempt, 'record'>): boolean {
  if (entry === null) return by !== 'once';
  return (by ?? null) === runsOf(entry) && (by !== 'once' || run === entry.run?.id);
}

/** The newest attempt of an entry that has ended or that could not start; null when there is none. */
export function newestDone(attempts: readonly ObservedAttempt[], entry: Asking | null): ObservedAttempt | null {
  return attempts.findLast((attempt) => isDone(attempt) && isOf(entry, attempt)) ?? null;
}

function isDone(attempt: ObservedAttempt): boolean {
  return (attempt.state === 'exited' || attempt.state === 'failed') && !isUnasked(attempt);
}

/** Whether a sandbox was made before anybody asked for a start: whatever becomes of it is no run's affair. */
export function isUnasked({ record }: Pick<ObservedAttempt, 'record'>): boolean {
  return record.ahead === true;
}

/** Whether the entry asks for one more start than the one that an attempt (or a boot's record) counts as. */
export function asksForRun({ run, schedule }: Asking, counted: number | null): boolean {
  // Which run a schedule asks for is not in the document.
  return run !== null && (schedule === null || run.by !== undefined) && run.id !== counted;
}

/** Whether a restart policy starts a container again that has ended like this. */
export function answers(policy: ContainerEntry['restart']['policy'], exit: Exit | null): boolean {
  if (policy === 'on-failure') return exit === null || 'signal' in exit || exit.code !== 0;
  return policy === 'always';
}

/**
 * Whether an entry that wants `running` asks for nothing any more, until its `run` changes: the run has ended by itself and
 * `restart` does not answer that. What is started at certain times asks for nothing between them.
 */
export function hasEnded(entry: ContainerEntry, { attempts, ran }: Remembered): boolean {
  if (attempts.some((attempt) => !isDone(attempt) && isOf(entry, attempt))) return false;
  const { policy } = entry.restart;
  const last = newestDone(attempts, entry);
  if (last === null) {
    if (entry.run?.by === 'schedule' && entry.run.due !== true) return true;
    return ran !== null && ran.exit !== null && !asksForRun(entry, ran.run) && !answers(policy, ran.exit);
  }
  const { record, exit, failure } = last;
  if (failure !== null || asksForRun(entry, record.run)) return false;
  return hasFailed(last) ? policy === 'never' : record.stop === null && !answers(policy, exit);
}

/** Whether a run was ended for what it did: that counts as a failure, however it ended. */
export function hasFailed({ record }: ObservedAttempt): boolean {
  return record.stop?.fault !== undefined;
}

/** Whether the run that an entry asks for has ended with 0, and nothing answers that. */
export function hasSucceeded(entry: ContainerEntry, remembered: Remembered): boolean {
  if (!hasEnded(entry, remembered)) return false;
  const last = newestDone(remembered.attempts, entry);
  const exit = last === null ? (remembered.ran?.exit ?? null) : last.exit;
  return exit !== null && 'code' in exit && exit.code === 0 && (last === null || !hasFailed(last));
}
