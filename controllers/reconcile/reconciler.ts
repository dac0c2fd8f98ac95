// The reconciler: the store's changes wake the loop, the loop plans and acts, and what it settles on becomes the status.
import type { Operation } from 'fast-json-patch';
import type { Observed, ObservedAttempt, ObservedPackage } from '../../state/observed.ts';
import { sameJson } from '../../state/same-json.ts';
import type { ContainerStatus } from '../../state/status.ts';
import type { Locked, Placed, State, Store } from '../../state/store.ts';
import { decide } from '../containers/containers-plan.ts';
import { unendingAt } from '../containers/end-bound.ts';
import { notesFirst, type Part, type Step, type View } from '../controller.ts';
import { stillStanding, withBasis, type KeptFailures } from './standing-failures.ts';
import { createLoop, type Clock } from './loop.ts';
import { createRelation } from './relation.ts';
import { outcomesOf, reachedOf, type Reached } from '../status/reached.ts';
import { criticalEnd, explainName, isUnsettled, repositoryStatuses, statusOf } from '../status/container-status.ts';
import { trialStatus } from '../status/trial-status.ts';
import type { Consequences, Model } from './model.ts';
import { type StepFailure, type Left, type Unsettled } from '../failure.ts';

export interface ReconcilerPorts {
  readonly store: Store;
  readonly clock: Clock;
  /** Between 0 and 1. */
  random(): number;
  /** Runs a task after `delay` ms; with 0 soon, after what is already under way. */
  defer(task: () => void, delay: number): void;
  /** In the order of going up: repositories, mounts, cgroups, containers. */
  readonly parts: readonly Part[];
  /** Keeps what a requirement was resolved to (Documents.setLock); it is in the store when this returns. */
  setLock(key: string, locked: Locked): void;
  readonly model: Model;
  /** Whether the packages that start by themselves have still to be judged since the launcher was started. */
  readonly autostart: boolean;
  /** They have been: to be noted in the launcher's global record. */
  autostartDone(): void;
  /** A time of CLOCK_BOOTTIME (ms) in RFC 3339, UTC. */
  wallClock(boot: number): string;
  /** A critical container has failed: the runtime is to end with exit code 1. */
  critical(name: string, message: string): void;
  /** A step has been performed (null) or could not be. */
  acted(step: Step, failure: StepFailure | null): void;
  /** Whether anybody is told of every change of the status. */
  readonly watched?: () => boolean;
  /** What holds up a step of this name that is under way; null = nothing does. */
  readonly held?: (name: string) => { readonly op: string; readonly why: string } | null;
  /** Failures that stand, for whoever comes after this process. */
  readonly kept?: KeptFailures;
  /** After `stop`: everything is down, or what is left cannot be taken down (its names). */
  stopped(left: readonly string[]): void;
}

export interface Reconciler {
  /** Begins: the store holds the document, and everything has been observed once. */
  start(): void;
  /** The deadline given to the clock has come. */
  due(): void;
  /** Takes everything down in order; `stopped` follows. */
  stop(): void;
  /** Plans names again, failures included that no retry mends: for observations that are not in the store. */
  look(names: Iterable<string>): void;
  /** Goes on with a name at once, if it is the only one that has something to do: its end is told when its groups are gone. */
  hurry(name: string): void;
  /** Why a container is not as the document has it; [] when it is. */
  explain(name: string): readonly Unsettled[];
  /** Whether what a generation has changed (null: everything) is as the document has it, cannot be, or will be; and why. */
  outcome(generation: number | null): Reached;
  /** What has become of these entries, of those that there are. */
  outcomesOf(keys: readonly string[]): ReturnType<typeof outcomesOf>;
  /** Resolves when the status says what was found. After `start`. */
  found(): Promise<void>;
  /** Resolves when what is to be mounted without being asked for is mounted, or could not be. After `start`. */
  mountedOnStart(): Promise<void>;
  /** Calls the listener whenever nothing more can be done now and the status says so; gives the function that ends it. */
  onSettled(listener: () => void): () => void;
  /** Whether nothing is under way and the status says so. */
  idle(): boolean;
  /** Ends at once, and leaves everything as it is. */
  close(): void;
}

const nothing: Left = { steps: [], failures: [] };

/** ms between two writings of the status while steps are under way. */
const BUSY_STATUS = 20;

/** The same when the runtime ends: everything changes some five times, and nobody can ask for anything any more. */
const ENDING_STATUS = 100;

/** How often what is left is tried when the runtime ends. */
const LAST_TRIES = 4;

export function createReconciler(ports: ReconcilerPorts): Reconciler {
  const { store, clock, model } = ports;
  const left = new Map<string, Left>();
  const stale = new Set<string>();
  const keys = createRelation();
  const unsettled = new Set<string>();
  const ended = new Set<string>();
  let repositories: Observed['repositories'] | null = null;
  const owners = new WeakMap<Step, Part>();
  const listeners = new Set<() => void>();
  const settledNames = new Set<string>();
  let awaited: { readonly names: Set<string>; readonly resolve: () => void } | null = null;
  let judging = ports.autostart;
  /** When the status is written next (CLOCK_BOOTTIME in ms), null = nothing has changed. */
  let flushAt: number | null = null;
  const firstStatus = Promise.withResolvers<undefined>();
  let isFound = false;
  let stopping = false;
  let stopped = false;
  let unsubscribe: (() => void) | null = null;

  const loop = createLoop<Step>({
    clock,
    random: () => ports.random(),
    defer: (task) => ports.defer(task, 0),
    plan(name) {
      if (store.get().unknown !== null && !stopping) return { steps: [], wake: null };
      const view = viewOf(name);
      const steps = ports.parts.flatMap((part) =>
        part.plan(view).map((step) => {
          owners.set(step, part);
          return step;
        }),
      );
      return { steps: notesFirst(steps), wake: decide(view).wake };
    },
    async act(step, signal) {
      const over = step.op === 'start' || step.op === 'go' ? model.begin(step.name) : null;
      try {
        await owners.get(step)?.act(step, signal);
      } finally {
        const dependencies = over?.() ?? [];
        if (dependencies.length > 0) loop.enqueue(dependencies);
      }
    },
    performed: (step) => ports.acted(step, null),
    // Of an end: an image and the groups go at once.
    apart: ({ op }) => op === 'umount' || op === 'remove-group',
    isLight: ({ op }) => op === 'signal',
    failed: (step, failure) => ports.acted(step, failure),
    keep: (failures) => ports.kept?.keep(withBasis(failures, model)),
    settled(name, steps, failures) {
      if (steps.length === 0 && failures.length === 0) left.delete(name);
      else left.set(name, { steps, failures });
      settledNames.add(name);
      touch([name]);
      if (awaited?.names.delete(name) === true && awaited.names.size === 0) awaited.resolve();
    },
  });

  function viewOf(name: string): View {
    return model.view(name, clock.now());
  }

  function changed(operations: readonly Operation[], state: State): void {
    follow(model.update(state, operations));
    if (operations.some(({ path }) => path === '/unknown')) loop.enqueue(model.names());
  }

  function follow({ affected, afresh, locks }: Consequences): void {
    for (const [key, locked] of locks) ports.setLock(key, locked);
    loop.enqueue(affected);
    loop.enqueue(afresh, true);
    touch(affected);
  }

  /** What is under way changes again at once, and so does what was told to end: its status is written now and then only. */
  function touch(names: Iterable<string>): void {
    let ends = false;
    for (const name of names) {
      stale.add(name);
      ends ||= isToldToEnd(name);
    }
    if (loop.idle() && !ends) flushIn(0);
    // At the end, where nobody is told, what is under way comes here again.
    else if (!stopping || loop.idle() || ports.watched?.() !== false) flushIn(stopping ? ENDING_STATUS : BUSY_STATUS);
  }

  function isToldToEnd(name: string): boolean {
    const attempts = store.get().observed.attempts.get(name) ?? [];
    return attempts.some(({ state, record }) => state === 'running' && record.stop !== null);
  }

  function flushIn(delay: number): void {
    if (flushAt !== null && flushAt <= clock.now() + delay) return;
    const at = clock.now() + delay;
    flushAt = at;
    ports.defer(() => {
      if (flushAt !== at) return;
      // What has begun meanwhile is not to wait for the words of what is over.
      const waits = delay === 0 && isFound && !loop.idle();
      if (waits) flushAt = null;
      if (waits) flushIn(stopping ? ENDING_STATUS : BUSY_STATUS);
      else flush();
    }, delay);
  }

  /** Writes the status of every name that changed, in one go. */
  function flush(): void {
    flushAt = null;
    if (unsubscribe === null) return;
    const { status, generation, document, unknown, conditions, overlay, observed } = store.get();
    const names = [...stale];
    stale.clear();
    const idle = loop.idle();
    // When everything is down this process ends, and what nobody is told of is not said any more.
    const isSaid = !(stopping && idle && left.size === 0 && runningNow().length === 0 && ports.watched?.() === false);
    const changes = isSaid ? names.flatMap((name) => changesOf(name, status.containers)) : [];
    const whole = {
      generation,
      observedGeneration: idle ? generation : status.observedGeneration,
      converged: idle && left.size === 0 && unsettled.size === 0 && unknown === null,
      document,
      conditions: [...conditions.values()],
      overlay,
      trial: trialStatus(store.get(), (boot) => ports.wallClock(boot)),
    };
    const places: Placed[] = changes.map(([key, value]) => {
      return { path: ['status', 'containers', key], ...(value !== null && { value }) };
    });
    for (const [key, value] of Object.entries(whole))
      if (!sameJson(status[key as keyof typeof whole], value)) places.push({ path: ['status', key], value });
    if (repositories !== observed.repositories) {
      const value = repositoryStatuses(observed);
      if (!sameJson(value, status.repositories)) places.push({ path: ['status', 'repositories'], value });
    }
    if (isSaid) store.set(places);
    repositories = observed.repositories;
    isFound = true;
    firstStatus.resolve(undefined);
    if (judging && model.autostartPending()?.length === 0) endJudging();
    if (stopping && idle) tellStopped();
    if (idle) for (const listener of listeners) listener();
  }

  /** What the status of a name's entries becomes; null = the entry is gone. */
  function changesOf(
    name: string,
    before: Readonly<Record<string, ContainerStatus>>,
  ): (readonly [string, ContainerStatus | null])[] {
    const view = viewOf(name);
    const critical = criticalEnd(view, left.get(name) ?? nothing);
    if (critical !== null && !ended.has(name)) {
      ended.add(name);
      ports.critical(name, critical);
    }
    const statuses = statusOf(view, left.get(name) ?? nothing, before, (boot) => ports.wallClock(boot));
    const gone = keys.of(name).filter((key) => !statuses.has(key));
    keys.set(name, [...statuses.keys()]);
    for (const key of gone) unsettled.delete(key);
    for (const [key, { phase }] of statuses) {
      if (isUnsettled(phase)) unsettled.add(key);
      else unsettled.delete(key);
    }
    const changed = [...statuses].filter(([key, status]) => !sameJson(before[key], status));
    return [...changed, ...gone.map((key) => [key, null] as const)];
  }

  function endJudging(): void {
    judging = false;
    follow(model.autostartDone());
    ports.autostartDone();
  }

  function runningNow(): ObservedAttempt[] {
    return [...store.get().observed.attempts.values()].flat().filter(({ state }) => state === 'running');
  }

  /** Down is when nothing is left to do, or when the rest has been tried often enough. */
  function tellStopped(): void {
    const running = runningNow();
    const lives = running.some((attempt) => (unendingAt(attempt) ?? Infinity) > clock.now());
    // What cannot be ended holds up whatever waits for it.
    const given = [...left.values()].every(
      ({ steps, failures }) =>
        failures.some(({ count }) => count >= LAST_TRIES) ||
        (running.length > 0 && failures.length === 0 && steps.every(({ waits }) => waits !== null)),
    );
    const names = [...new Set([...left.keys(), ...running.map(({ name }) => name)])];
    if (stopped || lives || (names.length > 0 && !given)) return;
    stopped = true;
    ports.stopped(names);
  }

  function explain(name: string, depth: number): Unsettled[] {
    return explainName(viewOf(name), left.get(name) ?? nothing, {
      of: (other) => (depth > 8 ? [] : explain(other, depth + 1)),
      held: ports.held?.(name) ?? null,
      wallClock: (boot) => ports.wallClock(boot),
    });
  }

  return {
    start() {
      unsubscribe = store.subscribe(changed);
      // What an earlier process has said of names that have gone is taken back, too.
      const said = Map.groupBy(Object.keys(store.get().status.containers), (key) => key.split(':', 1)[0] ?? key);
      for (const [name, entries] of said) keys.set(name, entries);
      const seen = model.update(store.get(), null);
      loop.restore(stillStanding(ports.kept?.earlier ?? [], model));
      follow({ ...seen, afresh: new Set() });
      touch(said.keys());
      loop.enqueue(model.names());
      // The first one at once, since whoever asks waits for it.
      flushIn(0);
    },
    due: () => loop.due(),
    stop() {
      stopping = true;
      follow(model.stop());
    },
    look: (names) => loop.enqueue(names, true),
    hurry: (name) => loop.hurry(name),
    explain: (name) => explain(name, 0),
    outcome(generation) {
      const found = reachedOf({ state: store.get(), left }, generation);
      return loop.idle() && flushAt === null ? found : { result: 'moving', reason: found.reason };
    },
    outcomesOf: (keys) => outcomesOf({ state: store.get(), left }, keys),
    found: () => firstStatus.promise,
    mountedOnStart() {
      const { observed, desired } = store.get();
      const isMountedOnStart = ({ repository }: ObservedPackage) =>
        desired.repositories.get(repository)?.mountOnStart === true;
      const names = [...observed.packages].filter(([, all]) => all.some(isMountedOnStart)).map(([name]) => name);
      const unsettledYet = new Set(names.filter((name) => !settledNames.has(name)));
      const { promise, resolve } = Promise.withResolvers<undefined>();
      if (unsettledYet.size === 0) resolve(undefined);
      else awaited = { names: unsettledYet, resolve: () => resolve(undefined) };
      return promise;
    },
    idle: () => loop.idle() && flushAt === null,
    onSettled(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      unsubscribe?.();
      unsubscribe = null;
      loop.stop();
    },
  };
}
