// The containers controller: which sandboxes are made, started, stopped and forgotten. Pure; the acts are in
// containers-act.ts, the restart policy in restart.ts.
//
// A start has two halves: `prepare` makes the sandbox, `go` starts the application in it. Where nothing can come between
// them, `start` has the launcher do one after the other. A replacement is prepared while the old instance runs; `go` then
// waits in the launcher for the old one's end, which `signal` asks for last.
import type { ContainerEntry } from '../../state/desired.ts';
import type { Fault, ObservedAttempt, Ran } from '../../state/observed.ts';
import type { Exit } from '../../state/signals.ts';
import type { Step, Target, View } from '../controller.ts';
import { lostImage, refusedImage, usesLost } from '../mounts/mounts-integrity.ts';
import {
  candidateOf,
  hasInit,
  isSandbox,
  isStale,
  leavingWaits,
  madeOf,
  ownMount,
  prepareWaits,
  startsByItself,
} from './candidate.ts';
import { keptAhead } from './ahead.ts';
import { dataWaits, restoreWaits } from '../kept-data/kept-data-plan.ts';
import { lockedUntil } from '../../state/locked-until.ts';
import { lockWaits } from './attempt-lock.ts';
import { wakeOf } from './wake.ts';
import { asksForRun, isOf, newestDone } from '../../state/ended-run.ts';
import { judgeScheduled } from './scheduled.ts';
import { faultOf, revisionOf } from './readiness.ts';
import { judge, type Verdict } from './restart.ts';

interface Common extends Step {
  readonly waits: string | null;
}

export type ContainerStep =
  /** Makes the sandbox of a target. `ahead`: in advance, and nobody hears of it when it cannot be made. */
  | (Common & { readonly op: 'prepare'; readonly ahead?: true } & Sandbox & Start)
  /** Makes it and starts it. */
  | (Common & { readonly op: 'start' } & Sandbox & Start)
  /** Starts it, or (`after` is not 0) has the launcher start it when that attempt has ended. */
  | (Common & { readonly op: 'go'; readonly id: number; readonly key: string; readonly after: number } & Start)
  /** `fault`: it is told to stop for what it did. */
  | (Common & {
      readonly op: 'signal';
      readonly id: number;
      readonly signal: number;
      readonly grace: number;
      readonly fault?: Fault;
    })
  | (Common & { readonly op: 'kill'; readonly id: number })
  /** Has the launcher ask what runs how it is; `revision` says what it asks. */
  | (Common & { readonly op: 'ask'; readonly id: number; readonly key: string; readonly revision: number })
  /** Takes away a sandbox in which nothing has run. */
  | (Common & { readonly op: 'discard'; readonly id: number })
  /** Lets the launcher forget an attempt that has ended. */
  | (Common & { readonly op: 'forget'; readonly id: number })
  /** Writes to runDir that the name has run in this boot; null takes the note away. */
  | (Common & { readonly op: 'note'; readonly ran: Ran | null });

/** Of which target a sandbox is; `made` is what it is made from. */
interface Sandbox {
  readonly key: string;
  readonly version: string;
  readonly made: string;
}

/** What the record of an attempt says about why it is made. */
interface Start {
  readonly restarts: number;
  readonly lastExit: Exit | null;
}

/** The steps, when to look again (CLOCK_BOOTTIME in ms, null = no time changes anything), and what the status tells. */
export interface Decision {
  readonly steps: ContainerStep[];
  readonly wake: number | null;
  /** Null when something runs, or nothing should. */
  readonly verdict: Verdict | null;
  /** Whether what runs is to be replaced. */
  readonly replacing: boolean;
}

const decisions = new WeakMap<View, Decision>();

/** Decides for one name. Every view is decided on once. */
export function decide(view: View): Decision {
  const known = decisions.get(view) ?? decided(view);
  decisions.set(view, known);
  return known;
}

function decided(view: View): Decision {
  const target = wanted(view);
  const running = view.attempts.filter(({ state }) => state === 'running');
  // A run that somebody has asked for is none of the document's, and the other way round: it ends first.
  const own = target === null ? running : running.filter((attempt) => isOf(target.entry, attempt));
  const current = own.find(({ record }) => record.entry === target?.replacing) ?? own.at(-1) ?? null;
  const lost = target === null ? null : lostImage(view, target);
  const fault = target === null || current === null ? null : faultOf(view, target, current);
  const replacing =
    target !== null && current !== null && lost === null && fault === null && isReplaced(view, current, target);
  // What follows on a run that has failed is judged by its end.
  const stays = current !== null && !replacing && lost === null;
  const verdict = target === null || stays ? null : startVerdict(view, target, current);
  const next = nextTarget(view, target, verdict);
  const made = next === null ? null : madeOf(view, next);
  const candidate = next === null || made === null ? null : candidateOf(view, next, made, current);

  const stops = running.flatMap((attempt) => {
    if (attempt !== current || target === null || usesLost(view, attempt)) return stop(view, attempt, null);
    if (fault !== null) return stop(view, attempt, null, fault);
    if (!replacing) return [];
    const waits = replacementWaits(view, target, verdict, candidate, current);
    return stop(view, attempt, waits ?? lockWaits(view, target, current));
  });
  const steps: ContainerStep[] = [
    ...tidy(view, candidate),
    ...notes(view, target, current, verdict),
    ...(next === null ? [] : start(view, next, { made, candidate, current, verdict })),
    ...(current === null || target === null || replacing ? [] : ask(view, target, current)),
    ...stops,
  ];
  const isHeld = replacing && lockWaits(view, target, current) !== null;
  const wake = wakeOf(view, target, running, verdict, isHeld ? lockedUntil(current) : null);
  return { steps, wake, verdict, replacing };
}

/** The steps of decide(): the controller's plan. */
export function plan(view: View): ContainerStep[] {
  return decide(view).steps;
}

/** The target of this name that should run now, null when none should. */
export function wanted(view: View): Target | null {
  return view.stopping ? null : (view.targets.find(({ entry }) => entry.state === 'running') ?? null);
}

/** A stop under way is finished, also when the entry wants it to run again meanwhile. */
function isReplaced(view: View, { record }: ObservedAttempt, { entry, replacing }: Target): boolean {
  const stops = record.stop !== null && record.stop.deadline !== null;
  // What is started at certain times, or once, goes on as it was started, and the next run is another one.
  if (entry.run?.by !== undefined) return stops;
  const goes = [...view.partners].some(([name, run]) => (record.beside[name] ?? run) !== run);
  return stops || goes || restoreWaits(view) !== null || record.entry !== replacing || asksForRun(entry, record.run);
}

function startVerdict(view: View, target: Target, current: ObservedAttempt | null): Verdict {
  const refused = refusedImage(view, target);
  if (refused !== null) return { kind: 'failed', ...refused };
  if (target.package !== null && !hasInit(target.entry, target.package)) {
    return { kind: 'failed', reason: 'StartFailed', message: `${target.package.id} has no init: it is a resource` };
  }
  const last = newestDone(view.attempts, target.entry);
  const { by } = target.entry.run ?? {};
  if (by === 'once' && (current ?? last) !== null) return { kind: 'exited', exit: last?.exit ?? null };
  if (by === 'schedule' && current !== null) return { kind: 'scheduled', exit: null };
  // What ended before the present instance was started has been answered by it.
  if (current !== null && (last === null || last.id < current.id))
    return { kind: 'start', restarts: 0, lastExit: null };
  const made = madeOf(view, target);
  return by === 'schedule' ? judgeScheduled(view, target, made) : judge(view, target, made);
}

/** Whose sandbox is to be there now: that of a start that is due, or one that `prepare` keeps ready. */
function nextTarget(view: View, target: Target | null, verdict: Verdict | null): Target | null {
  if (target !== null)
    return isDue(view, verdict) || (verdict?.kind === 'backoff' && target.entry.prepare === true) ? target : null;
  if (view.stopping) return null;
  const isKept = ({ entry, package: found }: Target): boolean =>
    entry.state === 'mounted' && entry.prepare === true && hasInit(entry, found);
  return view.targets.find(isKept) ?? keptAhead(view);
}

function isDue(view: View, verdict: Verdict | null): verdict is Verdict & { kind: 'start' | 'backoff' } {
  return verdict?.kind === 'start' || (verdict?.kind === 'backoff' && view.now >= verdict.at);
}

/** Takes away other sandboxes, and all ended attempts but the newest, whose exit and output are still asked for. */
function tidy(view: View, candidate: ObservedAttempt | null): ContainerStep[] {
  const { name, attempts } = view;
  const isKept = view.targets.length > 0 || view.stopping;
  const once = attempts.findLast(({ state, record }) => isDone(state) && record.by === 'once');
  // Of a run that nobody but a console has asked for the output is read after its end.
  const kept = new Set([isKept ? newestDone(attempts, null) : null, isKept || view.packages.length > 0 ? once : null]);
  return attempts.flatMap((attempt): ContainerStep[] => {
    const { id, state } = attempt;
    if (isSandbox(attempt)) {
      return attempt === candidate ? [] : [{ op: 'discard', name, id, waits: null }];
    }
    const armed = attempts.some(({ after }) => after === id);
    return isDone(state) && !kept.has(attempt) && !armed && !view.stopping
      ? [{ op: 'forget', name, id, waits: null }]
      : [];
  });
}

function isDone(state: ObservedAttempt['state']): boolean {
  return state === 'exited' || state === 'failed';
}

/** Keeps in runDir what has run in this boot. */
function notes(
  view: View,
  target: Target | null,
  current: ObservedAttempt | null,
  verdict: Verdict | null,
): ContainerStep[] {
  const { name, ran } = view;
  const note = (next: Ran | null): ContainerStep[] => [{ op: 'note', name, ran: next, waits: null }];
  if (current?.record.by === 'once') return [];
  if (current !== null && !current.record.autostart) {
    const { run } = current.record;
    return ran === null || ran.run !== run || ran.exit !== null ? note({ run, exit: null, attempt: current.id }) : [];
  }
  const last = newestDone(view.attempts, null);
  const isOver = verdict?.kind === 'exited' || verdict?.kind === 'scheduled';
  if (isOver && last !== null && last.exit !== null && !last.record.autostart) {
    const { run } = last.record;
    return ran === null || ran.run !== run || ran.exit === null ? note({ run, exit: last.exit, attempt: last.id }) : [];
  }
  // A stop that was asked for ends the run: wanted again, it starts again.
  const ended = view.targets.length === 0 || (last !== null && last.record.stop !== null);
  return ran !== null && target === null && current === null && !view.stopping && ended ? note(null) : [];
}

interface Next {
  readonly made: string | null;
  readonly candidate: ObservedAttempt | null;
  readonly current: ObservedAttempt | null;
  readonly verdict: Verdict | null;
}

function start(view: View, target: Target, { made, candidate, current, verdict }: Next): ContainerStep[] {
  const { name } = view;
  const { key, version, entry } = target;
  const known = verdict?.kind === 'start' || verdict?.kind === 'backoff' ? verdict : null;
  const common = {
    name,
    key,
    restarts: known?.restarts ?? 0,
    lastExit: known?.lastExit ?? null,
  };
  const steps: ContainerStep[] = [];
  const due = entry.state === 'running' && isDue(view, verdict);
  if (candidate === null) {
    const sandbox = { ...common, version: version ?? '', made: made ?? '' };
    const waits = prepareWaits(view, target);
    const atOnce =
      due &&
      current === null &&
      waits === null &&
      dependencyWaits(view) === null &&
      dataWaits(view) === null &&
      leavingWaits(view, target, null) === null;
    if (atOnce) return [{ op: 'start', ...sandbox, waits }];
    const ahead = entry.state === 'mounted' && entry.prepare === 'auto';
    steps.push({ op: 'prepare', ...sandbox, ...(ahead && { ahead }), waits });
  }
  if (!due || (candidate !== null && startsByItself(candidate))) return steps;
  const after = current?.id ?? 0;
  if (candidate === null || candidate.after === 0) {
    const waits =
      candidate === null || candidate.state === 'preparing'
        ? 'its sandbox is not prepared'
        : (dependencyWaits(view) ?? leavingWaits(view, target, candidate) ?? dataWaits(view));
    steps.push({ op: 'go', ...common, id: candidate?.id ?? 0, after, ...waiting(view, waits) });
  }
  return steps;
}

function dependencyWaits(view: View): string | null {
  const { dependenciesDown: down } = view;
  const asked = wanted(view)?.entry.dependsOn;
  const texts = (['running', 'ready', 'succeeded'] as const).flatMap((what) => {
    const names = down.filter((name) => (asked?.get(name) ?? 'running') === what);
    return names.length === 0 ? [] : [`not ${what} yet: ${names.join(', ')}`];
  });
  return texts.length === 0 ? null : texts.join('; ');
}

/** A step that waits for this; whether that is dependencies alone is said with it. */
function waiting(view: View, waits: string | null): Pick<Step, 'waits' | 'gated'> {
  return waits !== null && waits === dependencyWaits(view) ? { waits, gated: true } : { waits };
}

/** Why the present instance is not told to stop yet for the next one. */
function replacementWaits(
  view: View,
  target: Target,
  verdict: Verdict | null,
  candidate: ObservedAttempt | null,
  current: ObservedAttempt,
): string | null {
  if (verdict?.kind === 'failed') return verdict.message;
  if (isToGo(view, target, current) || restoreWaits(view) !== null) return null;
  if (candidate?.state === 'prepared' && candidate.after === current.id) return null;
  const waits = dependencyWaits(view);
  // What is to be kept is kept between the two: the next one is started then.
  if (candidate?.state === 'prepared' && dataWaits(view) !== null) return waits;
  const mount = ownMount(view, target);
  // The present instance holds the older image itself: the newer one can only be mounted when it has ended.
  const holds = current.version === target.version && (view.usedBy.get(current.version) ?? []).length === 0;
  if (holds && mount !== undefined && target.package !== null && isStale(mount, target.package)) return waits;
  return waits ?? 'the next instance is not prepared';
}

/** Another entry wants the package deleted that it runs from, and there is none that could take its place. */
function isToGo({ targets }: View, { key, version, entry }: Target, current: ObservedAttempt): boolean {
  if (version !== null || entry.source !== null) return false;
  const isIt = ({ state, version: named }: ContainerEntry) => state === 'absent' && named === current.version;
  return targets.some((other) => other.key !== key && isIt(other.entry));
}

/** What is asked of it belongs to its entry: it begins with the run, and anew with every change. */
function ask({ name }: View, target: Target, { id, record, health }: ObservedAttempt): ContainerStep[] {
  const revision = revisionOf(target);
  if (record.stop !== null || health.revision === revision) return [];
  return [{ op: 'ask', name, id, key: target.key, revision, waits: null }];
}

/** TERM (or what the entry says), then SIGKILL at the deadline in the record. A stop that has begun waits for nothing. */
function stop(view: View, attempt: ObservedAttempt, waits: string | null, fault?: Fault): ContainerStep[] {
  const { name } = view;
  const { id, record } = attempt;
  if (record.stop !== null && record.stop.deadline !== null) {
    const kill = !record.stop.killed && view.now >= record.stop.deadline;
    return kill ? [{ op: 'kill', name, id, waits: null }] : [];
  }
  // Exactly one signal was asked for, and it has been sent: what the application makes of it is its own affair.
  if (record.stop !== null && wanted(view) === null && !view.stopping) return [];
  const entry = view.targets.find(({ version }) => version === attempt.version)?.entry;
  const { signal: told, grace } = entry?.stop ?? record.onStop;
  const signal = fault === 'WatchdogExpired' && keepsCore(view, attempt) ? SIGABRT : told;
  const dependents = view.dependentsUp.length === 0 ? null : `still running: ${view.dependentsUp.join(', ')}`;
  if (fault !== undefined) return [{ op: 'signal', name, id, signal, grace, fault, waits: null }];
  return [{ op: 'signal', name, id, signal, grace, ...waiting(view, waits ?? dependents) }];
}

const SIGABRT = 6;

/** Where it may leave a core dump, one that hangs is ended so that it shows where (as systemd.service(5) does it). */
function keepsCore({ targets }: View, { version }: ObservedAttempt): boolean {
  const target = targets.find((each) => each.version === version);
  const core = (target?.entry.rlimits ?? target?.package?.manifest.rlimits ?? {}).core;
  return core !== undefined && core.soft !== 0;
}
