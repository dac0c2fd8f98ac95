// The planners run on a model in which every step succeeds: which steps follow, in an order in which they can be done. Pure.
import type { Operation } from 'fast-json-patch';
import { formatPointer } from '../../state/text/pointer.ts';
import { atOnce, type Sliced } from '../../state/in-slices.ts';
import type { Observed, ObservedPackage } from '../../state/observed.ts';
import type { State } from '../../state/store.ts';
import type { Hierarchies } from '../cgroups/cgroup-hierarchies.ts';
import { planCgroups } from '../cgroups/cgroups-plan.ts';
import { plan as planContainers } from '../containers/containers-plan.ts';
import { planKeptData } from '../kept-data/kept-data-plan.ts';
import { notesFirst, type View } from '../controller.ts';
import { effect, type AnyStep } from './effect.ts';
import { planMounts } from '../mounts/mounts-plan.ts';
import { planRepositories } from '../repositories/repositories-plan.ts';
import { TerminalError } from '../failure.ts';
import { createModel, type Consequences, type Model } from '../reconcile/model.ts';

export interface WalkOptions {
  readonly hierarchies: Hierarchies;
  readonly defaultRepository: string | null;
  /** The package that a source file holds, null when it cannot be read. */
  packageAt(source: string): ObservedPackage | null;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: number;
  /** Packages that start by themselves are judged, as at a start of the launcher. */
  readonly autostart: boolean;
}

/** A step, and what its planner looked at. */
export interface Stride {
  readonly step: AnyStep;
  readonly view: View;
}

export interface Walk {
  readonly done: readonly Stride[];
  /** What would have been done and cannot be: why is in `waits`. */
  readonly refused: readonly Stride[];
  /** What waits for something that does not come. */
  readonly left: readonly Stride[];
  /** Every name, as it is in the end. */
  readonly views: readonly View[];
}

/** More steps than any document that the size limit admits needs. */
const MOST_STEPS = 100_000;

/** Goes from a state to the end. */
export function walk(initial: State, options: WalkOptions): Walk {
  return atOnce(walking(initial, options));
}

/** What a step may change of what is observed, and under its own name alone. */
const changing = ['packages', 'mounts', 'cgroups', 'attempts', 'ran', 'kept'] as const;

/** The same, a step at a time. */
export function* walking(initial: State, options: WalkOptions): Sliced<Walk> {
  const { done, refused, model } = yield* striding(initial, options);
  const views: View[] = [];
  const left: Stride[] = [];
  for (const name of [...model.names()].sort()) {
    yield;
    const view = model.view(name, options.now);
    views.push(view);
    for (const step of planOf(view, options)) if (step.waits !== null) left.push({ step, view });
  }
  return { done, refused, left, views };
}

/** What is done on the way, and the model as it is in the end; a step at a time. */
export function* striding(
  initial: State,
  options: WalkOptions,
): Sliced<Pick<Walk, 'done' | 'refused'> & { readonly model: Model }> {
  const model = createModel({ autostart: options.autostart });
  const done: Stride[] = [];
  const latest = new Map<string, AnyStep>();
  const refused = new Map<string, Stride>();
  // Its own maps, in which each step changes one name: copies would cost as much as there are names.
  const all = ownMaps(initial.observed);
  let state: State = { ...initial, observed: all };
  let last = Math.max(0, ...[...initial.observed.attempts.values()].flat().map(({ id }) => id));
  let pending = follow(model.update(state, null));

  /** What was resolved is in force for the steps that follow. */
  function follow({ affected, locks }: Consequences): Set<string> {
    if (locks.size === 0) return affected;
    state = { ...state, lock: new Map([...state.lock, ...locks]) };
    const operations = [...locks.keys()].map((key) => replaced('lock', key));
    return new Set([...affected, ...follow(model.update(state, operations))]);
  }

  function perform(step: AnyStep, view: View): Set<string> {
    const before = ofName(all, step.name);
    const observed = effect(before, step, {
      view,
      fresh: () => ++last,
      packageAt: (source) => options.packageAt(source),
      digestOf: () => view.targets.find(({ package: found }) => found?.name === step.name)?.entry.digest ?? null,
      hierarchies: options.hierarchies,
    });
    const kinds = changing.filter((kind) => before[kind] !== observed[kind]);
    for (const kind of kinds) {
      const values: Map<string, unknown> = all[kind];
      const value = observed[kind].get(step.name);
      if (value === undefined) values.delete(step.name);
      else values.set(step.name, value);
    }
    return follow(
      model.update(
        state,
        kinds.map((kind) => replaced('observed', kind, step.name)),
      ),
    );
  }

  while (pending.size > 0 && done.length < MOST_STEPS) {
    const next = new Set<string>();
    for (const name of [...pending].sort()) {
      yield;
      const view = model.view(name, options.now);
      const step = planOf(view, options).find(({ waits }) => waits === null);
      // A step that the model shows no effect of, such as an install whose source cannot be read, is listed once.
      const repeated = step?.op === 'install' && latest.get(name)?.op === 'install';
      if (step === undefined || repeated || refused.has(name)) continue;
      try {
        for (const each of perform(step, view).add(name)) next.add(each);
        done.push({ step, view });
        latest.set(name, step);
      } catch (error) {
        if (!(error instanceof TerminalError)) throw error;
        refused.set(name, { step: { ...step, waits: error.message }, view });
      }
    }
    pending = next;
  }
  return { done, refused: [...refused.values()], model };
}

type OwnMaps = {
  -readonly [K in keyof Observed]: Observed[K] extends ReadonlyMap<string, infer V> ? Map<string, V> : never;
};

function ownMaps({ repositories, packages, mounts, cgroups, attempts, ran, schedules, kept }: Observed): OwnMaps {
  return {
    repositories: new Map(repositories),
    packages: new Map(packages),
    mounts: new Map(mounts),
    cgroups: new Map(cgroups),
    attempts: new Map(attempts),
    ran: new Map(ran),
    schedules: new Map(schedules),
    kept: new Map(kept),
  };
}

/** What is observed of one name. */
function ofName(all: Observed, name: string): Observed {
  const only = <V>(map: ReadonlyMap<string, V>): ReadonlyMap<string, V> => {
    const value = map.get(name);
    return value === undefined ? new Map<string, V>() : new Map([[name, value]]);
  };
  const { packages, mounts, cgroups, attempts, ran, kept } = all;
  return {
    ...all,
    ...{ packages: only(packages), mounts: only(mounts), cgroups: only(cgroups) },
    ...{ attempts: only(attempts), ran: only(ran), kept: only(kept) },
  };
}

function planOf(view: View, { hierarchies, defaultRepository }: WalkOptions): readonly AnyStep[] {
  return notesFirst<AnyStep>([
    ...planRepositories(view, defaultRepository),
    ...planMounts(view),
    ...planCgroups(view, hierarchies),
    ...planKeptData(view),
    ...planContainers(view),
  ]);
}

function replaced(...path: string[]): Operation {
  return { op: 'replace', path: formatPointer(path), value: null };
}
