// Sandboxes that are made in advance (`prepare: auto`): chosen once nothing has changed for a while, so that no start, boot or
// trial waits for them. They keep nobody awake beyond that, and wake nobody.
import { readFileSync } from 'node:fs';
import { chooseAhead, type Memory } from '../../controllers/containers/ahead.ts';
import type { View } from '../../controllers/controller.ts';
import type { Reconciler } from '../../controllers/reconcile/reconciler.ts';
import type { Sliced } from '../../state/in-slices.ts';
import type { Ahead, State, Store } from '../../state/store.ts';
import { isUnderWay } from '../../state/trial/trial-record.ts';

/** ms without a change before anything is made in advance. */
const lull = 300;

export interface AheadPorts {
  readonly store: Store;
  readonly reconciler: Pick<Reconciler, 'onSettled'>;
  readonly view: (name: string) => View;
  /** Keeps the reconciler awake until it is called. */
  readonly hold: () => () => void;
  /** Runs a task after so many ms. */
  readonly after: (delay: number, task: () => void) => void;
  /** Carries out a long computation; null when it is of no use any more. */
  readonly compute: <T>(work: Sliced<T>, isOfUse: () => boolean) => Promise<T | null>;
  readonly memory: () => Memory;
  /** What the host lacks for it; nothing is made then. */
  readonly failed: (error: unknown) => void;
}

/** From now on they are made whenever everything has converged, and given up when memory is short then. */
export function prepareAhead({ store, reconciler, view, hold, after, compute, memory, failed }: AheadPorts): void {
  let seen: readonly unknown[] = [];
  let waits = 0;
  let release: (() => void) | null = null;
  reconciler.onSettled(consider);

  function consider(): void {
    const parts = partsOf(store.get());
    if (isSame(parts, seen)) return;
    seen = parts;
    release ??= hold();
    const own = ++waits;
    after(lull, () => {
      if (own === waits) void choose().catch(failed);
    });
  }

  async function choose(): Promise<void> {
    const end = release;
    release = null;
    try {
      const isQuiet = (): boolean => mayPrepare(store.get()) && isSame(partsOf(store.get()), seen);
      const views = isQuiet() ? await compute(viewsOf(store.get(), view), isQuiet) : null;
      if (views === null) return;
      const said = chooseAhead(views, memory());
      if (!isSaid(said, store.get().ahead)) store.update((draft) => void (draft.ahead = new Map(said)));
    } finally {
      end?.();
    }
  }
}

function isSaid(said: ReadonlyMap<string, Ahead>, before: ReadonlyMap<string, Ahead>): boolean {
  const isKnown = ([name, { made, what }]: [string, Ahead]): boolean =>
    before.get(name)?.made === made && before.get(name)?.what === what;
  return said.size === before.size && [...said].every(isKnown);
}

/** Of what is mounted alone a sandbox can be made, and of nothing that runs: of that no view is made, of which there are many. */
function* viewsOf({ observed, ahead }: State, view: (name: string) => View): Sliced<View[]> {
  const views: View[] = [];
  for (const name of observed.mounts.keys()) {
    const attempts = observed.attempts.get(name) ?? [];
    const isAlone = attempts.every(({ state }) => state !== 'preparing' && state !== 'prepared') && !ahead.has(name);
    if (isAlone && attempts.some(({ state }) => state === 'running')) continue;
    views.push(view(name));
    yield;
  }
  return views;
}

function mayPrepare({ status, trial, staged, unknown }: State): boolean {
  return status.converged && unknown === null && staged === null && !isUnderWay(trial?.record ?? null);
}

/** What makes another choice. */
function partsOf({ desired, lock, observed, trial, staged, status }: State): readonly unknown[] {
  return [desired, lock, observed.packages, observed.mounts, observed.attempts, trial, staged, status.converged];
}

function isSame(parts: readonly unknown[], others: readonly unknown[]): boolean {
  return parts.every((part, index) => part === others[index]);
}

/** The machine's (proc_meminfo(5)). */
export function memoryNow(): Memory {
  const text = readFileSync('/proc/meminfo', 'utf8');
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { total: bytes('MemTotal'), available: bytes('MemAvailable') };
}
