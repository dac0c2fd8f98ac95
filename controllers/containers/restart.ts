// Whether a container is to be started now. Pure: everything follows from the attempts that the launcher remembers, from
// their records and times, and from what runDir says has run in this boot.
import type { ContainerEntry } from '../../state/desired.ts';
import { answers, asksForRun, hasFailed, isUnasked, newestDone } from '../../state/ended-run.ts';
import type { Fault, ObservedAttempt, Ran } from '../../state/observed.ts';
import { exitText, type Exit } from '../../state/signals.ts';
import type { Target, View } from '../controller.ts';
import { faultText } from './readiness.ts';
import { startFailure } from './start-failure.ts';
import { containerId } from '../../state/container-id.ts';

/** What is to become of a container that should run and does not. */
export type Verdict =
  | { readonly kind: 'start'; readonly restarts: number; readonly lastExit: Exit | null }
  /** It starts again at `at` (CLOCK_BOOTTIME in ms). */
  | { readonly kind: 'backoff'; readonly at: number; readonly restarts: number; readonly lastExit: Exit | null }
  /** It ended, and `restart` does not answer that: until `run` changes. */
  | { readonly kind: 'exited'; readonly exit: Exit | null }
  /** It waits for its time; `exit`: how the last run has ended. */
  | { readonly kind: 'scheduled'; readonly exit: Exit | null }
  | {
      readonly kind: 'failed';
      readonly reason: 'RestartLimit' | 'StartFailed' | 'IntegrityLost' | 'DigestMismatch' | Fault;
      readonly message: string;
    };

/** ms between two restarts at least: an entry without a backoff must not keep the machine busy. */
const SHORTEST_DISTANCE = 100;

/** Failures of a start that the same start would meet again (errno names). */
const hopeless = new Set([
  'ENOENT',
  'EACCES',
  'ENOEXEC',
  'EINVAL',
  'ENOTDIR',
  'ELOOP',
  'EPERM',
  'ENOSYS',
  'E2BIG',
  'EISDIR',
  'ENAMETOOLONG',
  'EXDEV',
  'ENOTSUP',
  'EOPNOTSUPP',
]);

/** Judges a target that wants `running` and of which nothing runs. */
export function judge(view: View, target: Target, made: string | null): Verdict {
  const last = newestDone(view.attempts, target.entry);
  if (last === null) return judgeUnremembered(view, target);
  const { record } = last;
  const lastExit = last.exit ?? record.lastExit;
  const asked = asksForRun(target.entry, record.run);
  if (last.failure !== null) {
    const changed = asked || record.entry !== target.replacing || (made !== null && record.made !== made);
    return changed ? { kind: 'start', restarts: 0, lastExit } : judgeFailure(last, target.entry);
  }
  const fault = record.stop?.fault ?? null;
  if (asked || (record.stop !== null && fault === null)) return { kind: 'start', restarts: 0, lastExit };
  if (fault !== null) return judgeFault(last, fault, target);
  if (!answers(target.entry.restart.policy, last.exit)) return { kind: 'exited', exit: last.exit };
  if (record.entry !== target.replacing) return { kind: 'start', restarts: 0, lastExit };
  return again(last, target.entry, lastExit, `ended with ${exitText(last.exit, last.oomKills)}`);
}

function judgeFault(last: ObservedAttempt, fault: Fault, { entry, replacing }: Target): Verdict {
  const lastExit = last.exit ?? last.record.lastExit;
  const message = faultText(fault, last.health.message);
  if (entry.restart.policy === 'never') return { kind: 'failed', reason: fault, message };
  if (last.record.entry !== replacing) return { kind: 'start', restarts: 0, lastExit };
  return again(last, entry, lastExit, message);
}

/** The launcher knows of no start. One of an earlier launcher in the same boot is not repeated against `restart`. */
function judgeUnremembered({ ran, attempts }: View, { entry, autostart }: Target): Verdict {
  const start: Verdict = { kind: 'start', restarts: 0, lastExit: ran?.exit ?? null };
  if (ran === null || autostart !== null || entry.run?.by === 'once' || asksForRun(entry, ran.run)) return start;
  if (!hasRun(ran, attempts)) return start;
  const ended = ran.exit !== null && !answers(entry.restart.policy, ran.exit);
  return ended || entry.restart.policy === 'never' ? { kind: 'exited', exit: ran.exit } : start;
}

/** The note of a start is written before it: as long as the sandbox only stands ready, or could not be made, nothing has run. */
export function hasRun({ exit, attempt }: Ran, attempts: readonly ObservedAttempt[]): boolean {
  const failed = attempt !== null && !attempts.some(({ id }) => id === attempt);
  return exit !== null || !(failed || attempts.some((each) => each.state === 'prepared' && !isUnasked(each)));
}

function judgeFailure(last: ObservedAttempt, entry: ContainerEntry): Verdict {
  const failure = last.failure ?? { step: 'start', code: 'EIO', subject: '' };
  const { step, code } = failure;
  const message = startFailure(containerId(last.name, last.version), failure);
  // A group that vanished under a start is made again, and what the host lacked may come; all else that is missing stays so.
  const mayCome = step.startsWith('cgroup') || last.record.lacks.length > 0;
  if (hopeless.has(code) && !mayCome) return { kind: 'failed', reason: 'StartFailed', message };
  return again(last, entry, last.record.lastExit, message);
}

function again(last: ObservedAttempt, entry: ContainerEntry, lastExit: Exit | null, what: string): Verdict {
  const { resetAfter, limit } = entry.restart;
  const healthy = !hasFailed(last) && last.startedAt > 0 && last.exitedAt - last.startedAt >= resetAfter;
  const restarts = healthy ? 0 : last.record.restarts;
  if (limit > 0 && restarts >= limit) {
    return { kind: 'failed', reason: 'RestartLimit', message: `${what} and has been restarted ${restarts} times` };
  }
  const at = Math.max(last.exitedAt, last.preparedAt, last.record.at) + delay(entry, restarts, last.id);
  // The first one may come at once; what was itself a restart keeps its distance to the next, whatever the entry says.
  const soonest = last.record.restarts === 0 ? 0 : Math.max(last.startedAt, last.record.at) + SHORTEST_DISTANCE;
  return { kind: 'backoff', at: Math.max(at, soonest), restarts: restarts + 1, lastExit };
}

/** Capped exponential backoff in ms. The jitter, up to an eighth, comes from the attempt's id: the same after every crash. */
function delay({ restart }: ContainerEntry, restarts: number, id: number): number {
  const capped = Math.min(restart.maxBackoff, restart.backoff * 2 ** Math.min(restarts, 40));
  return capped * (1 - ((id * 2654435761) >>> 0) / 2 ** 32 / 8);
}
