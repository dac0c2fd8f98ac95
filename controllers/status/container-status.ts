// The status of containers, made from what is observed and from what the loop could not do. Pure.
import type { Observed } from '../../state/observed.ts';
import type { ContainerStatus, Phase, RepositoryStatus, ScheduleStatus } from '../../state/status.ts';
import { conditionsOf } from './conditions.ts';
import { decide, wanted } from '../containers/containers-plan.ts';
import type { Target, View } from '../controller.ts';
import { factsOf, isMounted, isPaused, type Facts } from './phase.ts';
import { specOf, wakeAt } from '../../state/schedule.ts';
import { isUnasked } from '../../state/ended-run.ts';
import { exitText } from '../../state/signals.ts';
import { scheduleFacts } from '../containers/scheduled.ts';
import { faultText } from '../containers/readiness.ts';
import { type Left, type Unsettled } from '../failure.ts';

/** Times of CLOCK_BOOTTIME (ms) in RFC 3339, UTC. */
export type WallClock = (boot: number) => string;

/** The status of every target of a name, by entry key. Times that say what they said before keep their text. */
export function statusOf(
  view: View,
  left: Left,
  before: Readonly<Record<string, ContainerStatus>>,
  wallClock: WallClock,
): ReadonlyMap<string, ContainerStatus> {
  return new Map(
    factsOf(view, left).map((facts) => [facts.target.key, one(facts, before[facts.target.key], wallClock)]),
  );
}

function one(facts: Facts, before: ContainerStatus | undefined, wallClock: WallClock): ContainerStatus {
  const { view, target, phase, running, done, decision } = facts;
  const verdict = phase === 'Backoff' && decision.verdict?.kind === 'backoff' ? decision.verdict : null;
  const pid = running === null || running.pid === 0 ? null : running.pid;
  const kept = before?.phase === phase && before.pid === pid;
  // Frozen here, it is not walked through again when the store takes it over.
  return Object.freeze({
    version: target.version ?? running?.version ?? null,
    repository: target.package?.repository ?? target.entry.repository,
    desired: target.entry.state,
    phase,
    mounted: isMounted(view, target),
    pid,
    paused: isPaused(facts),
    since: since(facts, kept ? before.since : null, wallClock),
    restarts: (running ?? done)?.record.restarts ?? 0,
    nextRestart: verdict === null ? null : close(before?.nextRestart ?? null, wallClock(verdict.at)),
    says: running?.health.status ?? '',
    schedule: scheduleOf(facts, before?.schedule ?? null, wallClock),
    lastExit: done?.exit ?? (running ?? done)?.record.lastExit ?? view.ran?.exit ?? null,
    conditions: conditionsOf(facts, before?.conditions ?? [], wallClock(view.now)),
  });
}

/** When it starts next, and what its last run came to. */
function scheduleOf(
  { view, target: { entry }, running }: Facts,
  before: ScheduleStatus | null,
  wallClock: WallClock,
): ScheduleStatus | null {
  const { schedule } = entry;
  if (schedule === null || entry.state !== 'running') return null;
  const { schedule: record, wall } = view;
  const known = record?.spec === specOf(schedule) ? record : null;
  const at = known === null ? null : wakeAt(known, schedule, scheduleFacts(view, entry));
  const last = record?.last ?? null;
  return {
    next: at === null || view.stopping ? null : close(before?.next ?? null, wallClock(at)),
    waitsForClock: schedule.kind === 'cron' && wall === null,
    due: running === null && record !== null && record.owed !== null,
    last: last === null ? null : { at: last.at === null ? null : new Date(last.at).toISOString(), exit: last.exit },
  };
}

/** `kept`: what the status said, where phase and process are the same. A short phase between may not have been shown. */
function since({ view, phase, running, done }: Facts, kept: string | null, wallClock: WallClock): string {
  const ended = phase === 'Exited' || phase === 'Backoff' ? (done?.exitedAt ?? 0) : 0;
  const began = phase === 'Running' ? (running?.startedAt ?? 0) : ended;
  return began > 0 ? close(kept, wallClock(began)) : (kept ?? wallClock(view.now));
}

/** Two readings of the wall clock differ a little: the same time keeps its first text. */
export function close(before: string | null, next: string): string {
  return before !== null && Math.abs(Date.parse(before) - Date.parse(next)) < 100 ? before : next;
}

/** The status of every repository. */
export function repositoryStatuses({ repositories }: Observed): Record<string, RepositoryStatus> {
  return Object.fromEntries(
    [...repositories].map(([id, { type, verified, integrity, packages, size, broken, error }]) => {
      const problems = [
        ...(error === null ? [] : [error]),
        ...broken.map(({ path, message }) => `${path}: ${message}`),
      ];
      return [id, { type, verified, integrity, packages, size, problems }];
    }),
  );
}

const moving: ReadonlySet<Phase> = new Set<Phase>(['Starting', 'Stopping', 'Backoff', 'Failed']);

/** Whether a phase keeps the whole from having converged. */
export function isUnsettled(phase: Phase): boolean {
  return moving.has(phase);
}

/**
 * The failure of a container that its package calls critical; null when it did not fail. A stop is no failure, an end by the
 * very signal that a client sent is one, as in Northstar. `left` is what the loop could not do for it.
 */
export function criticalEnd(view: View, left: Left): string | null {
  const last = view.attempts.findLast(
    (each) => each.state !== 'prepared' && each.state !== 'preparing' && !isUnasked(each),
  );
  const stop = last?.record.stop ?? null;
  const isKilled = stop !== null && stop.deadline === null && !view.stopping;
  const isFailed = stop?.fault !== undefined;
  const target = isKilled ? view.targets.find(({ version }) => version === last?.version) : wanted(view);
  if (target?.package?.manifest.autostart !== 'critical') return null;
  if (last?.state === 'running' || (stop !== null && !isKilled && !isFailed)) return null;
  if (last !== undefined && last.failure !== null)
    return `${last.name} could not start: ${last.failure.step} ${last.failure.code}`;
  if (last !== undefined && stop?.fault !== undefined)
    return `${last.name} ${faultText(stop.fault, last.health.message)}`;
  const failed = last !== undefined && last.exit !== null && ('signal' in last.exit || last.exit.code !== 0);
  if (failed) return `${last.name} ended with ${exitText(last.exit)}`;
  const never = last === undefined ? neverStarts(view, target, left) : null;
  return never === null ? null : `${view.name} could not start: ${never}`;
}

/** Why there is not even an attempt, where waiting does not help. One that starts by itself waits for no installation. */
function neverStarts(view: View, target: Target, { failures }: Left): string | null {
  const { verdict } = decide(view);
  if (verdict?.kind === 'failed') return verdict.message;
  const terminal = failures.find(({ retryAt }) => retryAt === null);
  if (terminal !== undefined) return terminal.message;
  const lacking = target.autostart === null ? undefined : target.resources.find(({ id }) => id === null);
  return lacking === undefined ? null : `the resource ${lacking.name} ${lacking.requirement} is not installed`;
}

/** Why a name is not as the document has it, in the order in which it is worked off; of what it depends on, too. */
export function explainName(
  view: View,
  left: Left,
  {
    of,
    held,
    wallClock,
  }: {
    readonly of: (name: string) => readonly Unsettled[];
    /** What holds up a step that is under way. */
    readonly held: { readonly op: string; readonly why: string } | null;
    readonly wallClock: WallClock;
  },
): Unsettled[] {
  const going = held === null ? [] : [{ op: held.op, text: `${held.op} is under way: ${held.why}` }];
  const steps = left.steps.map(({ op, waits }) => ({
    op,
    text: waits === null ? `${op} is under way` : `${op} waits: ${waits}`,
  }));
  const failures = left.failures.map(({ op, message, retryAt }) => {
    const next =
      retryAt === null ? 'until something it depends on changes' : `it is tried again at ${wallClock(retryAt)}`;
    return { op, text: `${op} failed: ${message} (${next})` };
  });
  const verdicts = factsOf(view, left).flatMap(({ decision: { verdict } }) =>
    verdict?.kind === 'failed' ? [verdict.message] : [],
  );
  const own = [...going, ...steps, ...failures, ...[...new Set(verdicts)].map((text) => ({ op: null, text }))];
  const dependencies = view.dependenciesDown.flatMap((name) =>
    of(name).map((each) => ({ ...each, by: [name, ...each.by] })),
  );
  return [...own.map((each) => ({ ...each, by: [] })), ...dependencies];
}
