// The loop: one keyed queue. A name is planned when something that it depends on has changed, its first step that waits for
// nothing is performed (with those that are apart from it), and it is planned again, until nothing is left that can be done
// now. Different names run in parallel, one name never twice. Time, randomness and the acts are parameters, so that the
// simulation runs this very loop.
import { TerminalError, type StepFailure } from '../failure.ts';
import type { Step } from '../controller.ts';
import { messageOf } from '../../state/errno.ts';

export interface Clock {
  /** CLOCK_BOOTTIME in ms. */
  now(): number;
  /** Has `Loop.due` called at that time; null = never. A later call replaces an earlier one. */
  setDeadline(at: number | null): void;
}

export interface LoopPorts<S extends Step> {
  readonly clock: Clock;
  /** Between 0 and 1. */
  random(): number;
  /** The steps that a name still needs, in order, and when time alone changes them. */
  plan(name: string): { readonly steps: readonly S[]; readonly wake: number | null };
  act(step: S, signal: AbortSignal): Promise<void>;
  /** A step has been performed. */
  performed(step: S): void;
  /** Whether a step touches nothing that others of its name touch of which the same is said: they are performed at once. */
  readonly apart?: (step: S) => boolean;
  /** Whether a step is no work to whoever does it: as many names as have such a one begin in one go. */
  readonly isLight?: (step: S) => boolean;
  /** Runs the task soon, after what is already under way. */
  defer(task: () => void): void;
  /** Called when a name has nothing more that can be done now, with the steps that wait and the failures that stand. */
  settled(name: string, steps: readonly S[], failures: readonly StepFailure[]): void;
  failed(step: S, failure: StepFailure): void;
  /** All failures that stand, whenever they are others than before. */
  keep?(failures: readonly Standing[]): void;
}

/** The failure of one step of one name. */
export interface Standing {
  readonly name: string;
  readonly step: string;
  readonly failure: StepFailure;
}

export interface Loop {
  /** Takes over failures that an earlier process has left, before anything is planned: it retries nothing early. */
  restore(failures: readonly Standing[]): void;
  /** Has names planned. With `afresh`, failures that no retry could mend are tried again: what they depend on has changed. */
  enqueue(names: Iterable<string>, afresh?: boolean): void;
  /** Has a name planned at once, if it is the only one that is to be: somebody is told of what becomes of it. */
  hurry(name: string): void;
  /** The deadline that was set has come. */
  due(): void;
  /** Whether no name is queued or worked on. */
  idle(): boolean;
  /** Ends it: no step is begun any more, and the signal of those under way is aborted. */
  stop(): void;
}

/**
 * Names whose steps are begun in one go. Where hundreds have something to do, the first are then ready when the last begin: whoever
 * does the work for them has some from the start on.
 */
const ATONCE = 8;
const FIRST_RETRY = 100;
const LAST_RETRY = 30_000;

export function createLoop<S extends Step>(ports: LoopPorts<S>): Loop {
  const { clock } = ports;
  const queued = new Set<string>();
  const busy = new Set<string>();
  const wakes = new Map<string, number>();
  const failures = new Map<string, Map<string, StepFailure>>();
  const unplannable = new Map<string, StepFailure>();
  const abort = new AbortController();
  let scheduled = false;
  /** Names that are at no more than light steps. */
  const light = new Set<string>();
  let deadline: number | null = null;

  function enqueue(names: Iterable<string>, afresh = false): void {
    for (const name of names) {
      if (afresh) forgive(name);
      queued.add(name);
    }
    if (scheduled || queued.size === 0) return;
    scheduled = true;
    ports.defer(drain);
  }

  function drain(): void {
    scheduled = false;
    let begun = 0;
    for (const name of queued) {
      // One that is worked on is planned again anyway when its step is done.
      queued.delete(name);
      if (busy.has(name) || abort.signal.aborted) continue;
      void turn(name);
      if (!busy.has(name)) continue;
      if (!light.has(name)) begun += 1;
      if (begun < ATONCE || queued.size === 0) continue;
      // What they have begun goes on meanwhile.
      enqueue([]);
      return;
    }
    setDeadline();
  }

  async function turn(name: string): Promise<void> {
    busy.add(name);
    let last: readonly S[] = [];
    for (;;) {
      const { steps, wake } = planned(name);
      dropOld(name, steps);
      for (const step of last) noEffect(step, steps);
      const failed = failures.get(name);
      const ready = steps.filter((each) => each.waits === null && mayRun(failed?.get(keyOf(each))));
      const [first] = ready;
      if (first === undefined || abort.signal.aborted) {
        busy.delete(name);
        light.delete(name);
        settle(name, steps, wake);
        return;
      }
      const begun = ports.apart?.(first) === true ? ready.filter(ports.apart) : [first];
      if (ports.isLight !== undefined && begun.every(ports.isLight)) light.add(name);
      else light.delete(name);
      const done = await Promise.all(begun.map(attempt));
      last = done.filter((step) => step !== null);
      // In the order in which they were planned, whichever was done first.
      for (const step of last) ports.performed(step);
    }
  }

  /** A name that cannot even be planned has nothing done to it until something about it changes. */
  function planned(name: string): ReturnType<typeof ports.plan> {
    try {
      return ports.plan(name);
    } catch (error) {
      const message = messageOf(error);
      unplannable.set(name, { op: 'plan', ...causeOf(error), message, count: 1, retryAt: null });
      return { steps: [], wake: null };
    }
  }

  /** Gives the step when it was performed, null when it failed. */
  async function attempt(step: S): Promise<S | null> {
    try {
      await ports.act(step, abort.signal);
      return step;
    } catch (error) {
      if (!abort.signal.aborted) fail(step, error);
      return null;
    }
  }

  /** A step that is planned again right after it was performed: its effect is not seen yet, or it has none. */
  function noEffect(last: S, steps: readonly S[]): void {
    const again = steps.find(({ op, waits }) => op === last.op && waits === null);
    if (again === undefined || keyOf(again) !== keyOf(last)) return;
    if (mayRun(failures.get(last.name)?.get(keyOf(last)))) {
      fail(last, new Error(`${last.op} of ${last.name} has shown no effect yet`));
    }
  }

  function fail(step: S, error: unknown): void {
    const known = failuresOf(step.name);
    const key = keyOf(step);
    const count = (known.get(key)?.count ?? 0) + 1;
    const delay = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** Math.min(count - 1, 20)) * (0.75 + ports.random() / 4);
    const failure = {
      op: step.op,
      ...causeOf(error),
      message: messageOf(error),
      count,
      retryAt: error instanceof TerminalError ? null : clock.now() + delay,
    };
    known.set(key, failure);
    keep();
    ports.failed(step, failure);
  }

  function failuresOf(name: string): Map<string, StepFailure> {
    const known = failures.get(name) ?? new Map<string, StepFailure>();
    failures.set(name, known);
    return known;
  }

  function keep(): void {
    if (ports.keep === undefined) return;
    const all = [...failures].map(([name, known]) =>
      [...known].map(([step, failure]): Standing => ({ name, step, failure })),
    );
    ports.keep(all.flat());
  }

  /** Failures of steps that are no longer planned are over. */
  function dropOld(name: string, steps: readonly S[]): void {
    const known = failures.get(name);
    if (known === undefined) return;
    const planned = new Set(steps.map(keyOf));
    const over = [...known.keys()].filter((key) => !planned.has(key));
    for (const key of over) known.delete(key);
    if (known.size === 0) failures.delete(name);
    if (over.length > 0) keep();
  }

  function forgive(name: string): void {
    const known = failures.get(name);
    const forgiven = [...(known ?? [])].filter(([, { retryAt }]) => retryAt === null);
    for (const [key] of forgiven) known?.delete(key);
    if (forgiven.length > 0) keep();
  }

  function mayRun(failure: StepFailure | undefined): boolean {
    return failure === undefined || (failure.retryAt !== null && failure.retryAt <= clock.now());
  }

  function settle(name: string, steps: readonly S[], wake: number | null): void {
    const known = [...(failures.get(name)?.values() ?? [])];
    const unplanned = unplannable.get(name);
    if (unplanned !== undefined) known.push(unplanned);
    unplannable.delete(name);
    const times = [wake, ...known.map(({ retryAt }) => retryAt)].filter((time) => time !== null);
    if (times.length === 0) wakes.delete(name);
    else wakes.set(name, Math.min(...times));
    setDeadline();
    ports.settled(name, steps, known);
  }

  function setDeadline(): void {
    if (scheduled) return;
    let next: number | null = null;
    for (const time of wakes.values()) if (next === null || time < next) next = time;
    if (next === deadline || abort.signal.aborted) return;
    deadline = next;
    clock.setDeadline(next);
  }

  return {
    restore(earlier) {
      for (const { name, step, failure } of earlier) failuresOf(name).set(step, failure);
    },
    enqueue,
    hurry(name) {
      if (queued.size > 1 || busy.size > 0 || abort.signal.aborted || !queued.delete(name)) return;
      void turn(name);
    },
    due() {
      deadline = null;
      const now = clock.now();
      const names = [...wakes].filter(([, time]) => time <= now).map(([name]) => name);
      for (const name of names) wakes.delete(name);
      enqueue(names);
      setDeadline();
    },
    idle: () => queued.size === 0 && busy.size === 0,
    stop() {
      abort.abort();
      queued.clear();
      clock.setDeadline(null);
    },
  };
}

/** Two steps are the same when they say the same: what a failure stands for. */
function keyOf(step: Step): string {
  return JSON.stringify(step);
}

function causeOf(error: unknown): Pick<StepFailure, 'reason' | 'subject'> {
  const { reason, subject } = error instanceof TerminalError ? error : { reason: 'StepFailed' as const, subject: null };
  return { reason, subject };
}
