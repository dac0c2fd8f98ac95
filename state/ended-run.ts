// When the run that an entry asks for is over: it has ended, and nothing answers that. Pure.
import type { ContainerEntry } from './desired.ts';
import type { ObservedAttempt, Ran } from './observed.ts';
import type { Exit } from './signals.ts';

/** What is remembered of a name's runs. */
export interface Remembered {
  readonly attempts: readonly ObservedAttempt[];
  readonly ran: Ran | null;
}

/** The newest attempt that has ended or that could not start; null when there is none. */
export function newestDone(attempts: readonly ObservedAttempt[]): ObservedAttempt | null {
  return attempts.findLast(({ state }) => state === 'exited' || state === 'failed') ?? null;
}

/** Whether the entry asks for one more start than the one that an attempt (or a boot's record) counts as. */
export function asksForRun(entry: ContainerEntry, run: number | null): boolean {
  return entry.run !== null && entry.run.id !== run;
}

/** Whether a restart policy starts a container again that has ended like this. */
export function answers(policy: ContainerEntry['restart']['policy'], exit: Exit | null): boolean {
  if (policy === 'on-failure') return exit === null || 'signal' in exit || exit.code !== 0;
  return policy === 'always';
}

/**
 * Whether an entry that wants `running` asks for nothing any more, until its `run` changes: the run has ended by itself and
 * `restart` does not answer that.
 */
export function hasEnded(entry: ContainerEntry, { attempts, ran }: Remembered): boolean {
  if (attempts.some(({ state }) => state !== 'exited' && state !== 'failed')) return false;
  const { policy } = entry.restart;
  const last = newestDone(attempts);
  if (last === null) {
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
  const last = newestDone(remembered.attempts);
  const exit = last === null ? (remembered.ran?.exit ?? null) : last.exit;
  return exit !== null && 'code' in exit && exit.code === 0 && (last === null || !hasFailed(last));
}
