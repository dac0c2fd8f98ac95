// What a document would lead to, without doing it: the planners, run on a model in which every step succeeds. Pure.
import type { Operation } from 'fast-json-patch';
import { formatPointer } from '../../state/text/pointer.ts';
import type { ObservedPackage } from '../../state/observed.ts';
import type { State } from '../../state/store.ts';
import type { Hierarchies } from '../cgroups/cgroup-hierarchies.ts';
import { planCgroups } from '../cgroups/cgroups-plan.ts';
import { plan as planContainers } from '../containers/containers-plan.ts';
import type { View } from '../controller.ts';
import { effect, type AnyStep } from './effect.ts';
import { planMounts } from '../mounts/mounts-plan.ts';
import { planRepositories } from '../repositories/repositories-plan.ts';
import { TerminalError } from '../failure.ts';
import { describeStep } from './describe-step.ts';
import { createModel, type Consequences } from '../reconcile/model.ts';

export interface ForecastStep {
  readonly op: string;
  readonly name: string;
  /** For a person. */
  readonly text: string;
  /** What keeps it from being done, null when it would be done. */
  readonly waits: string | null;
  /** Bytes that an installation fetches from a server. */
  readonly fetch?: number;
}

export interface ForecastOptions {
  readonly hierarchies: Hierarchies;
  readonly defaultRepository: string | null;
  /** The package that a source file holds, null when it cannot be read. */
  packageAt(source: string): ObservedPackage | null;
  /** Bytes that a source takes to fetch; null when it is here, or cannot be reached. */
  fetchOf(source: string): number | null;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: number;
}

/** More steps than any document that the size limit admits needs. */
const MOST_STEPS = 100_000;

/** The steps from a state to the end, in an order in which they can be done; what cannot be done comes last. */
export function forecast(initial: State, options: ForecastOptions): ForecastStep[] {
  const model = createModel({ autostart: false });
  const steps: ForecastStep[] = [];
  const refused = new Map<string, ForecastStep>();
  let state = initial;
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
    const before = state.observed;
    const observed = effect(before, step, {
      view,
      fresh: () => ++last,
      packageAt: (source) => options.packageAt(source),
      digestOf: () => view.targets.find(({ package: found }) => found?.name === step.name)?.entry.digest ?? null,
      hierarchies: options.hierarchies,
    });
    state = { ...state, observed };
    const kinds = (['packages', 'mounts', 'cgroups', 'attempts', 'ran'] as const).filter(
      (kind) => before[kind] !== observed[kind],
    );
    return follow(
      model.update(
        state,
        kinds.map((kind) => replaced('observed', kind, step.name)),
      ),
    );
  }

  while (pending.size > 0 && steps.length < MOST_STEPS) {
    const next = new Set<string>();
    for (const name of [...pending].sort()) {
      const view = model.view(name, options.now);
      const step = planOf(view, options).find(({ waits }) => waits === null);
      if (step === undefined || isRepeated(step, steps) || refused.has(name)) continue;
      const line = lineOf(step, view, options);
      try {
        for (const each of perform(step, view).add(name)) next.add(each);
        steps.push(line);
      } catch (error) {
        if (!(error instanceof TerminalError)) throw error;
        refused.set(name, { ...line, waits: error.message });
      }
    }
    pending = next;
  }
  return [...steps, ...refused.values(), ...leftOver(model.names())];

  function leftOver(names: Iterable<string>): ForecastStep[] {
    return [...names].sort().flatMap((name) => {
      const view = model.view(name, options.now);
      return planOf(view, options)
        .filter(({ waits }) => waits !== null)
        .map((step) => lineOf(step, view, options));
    });
  }
}

function planOf(view: View, { hierarchies, defaultRepository }: ForecastOptions): AnyStep[] {
  return [
    ...planRepositories(view, defaultRepository),
    ...planMounts(view),
    ...planCgroups(view, hierarchies),
    ...planContainers(view),
  ];
}

/** A step that the model shows no effect of, such as an install whose source cannot be read, is listed once. */
function isRepeated(step: AnyStep, steps: readonly ForecastStep[]): boolean {
  const last = steps.findLast(({ name }) => name === step.name);
  return last?.op === step.op && step.op === 'install';
}

function lineOf(step: AnyStep, view: View, { fetchOf }: Pick<ForecastOptions, 'fetchOf'>): ForecastStep {
  const fetch = step.op === 'install' ? fetchOf(step.source) : null;
  return {
    op: step.op,
    name: step.name,
    text: describeStep(step, view),
    waits: step.waits,
    ...(fetch !== null && { fetch }),
  };
}

function replaced(...path: string[]): Operation {
  return { op: 'replace', path: formatPointer(path), value: null };
}
