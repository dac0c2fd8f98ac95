// What the first start after a boot would do: which images are mounted, which containers start, and which sandboxes are kept
// ready, in this order. What it was for a name is known as long as nothing has changed that it came from.
import { emptyObserved, type ObservedPackage } from '../../state/observed.ts';
import { atOnce, type Sliced } from '../../state/in-slices.ts';
import type { Ahead, State } from '../../state/store.ts';
import type { Target, View } from '../controller.ts';
import type { Hierarchies } from '../cgroups/cgroup-hierarchies.ts';
import { containerId } from '../../state/container-id.ts';
import { reachesOf } from './reach.ts';
import type { MountStep } from '../mounts/mounts-plan.ts';
import type { ContainerStep } from '../containers/containers-plan.ts';
import { striding } from './walk.ts';

export type StartStep = Extract<ContainerStep, { op: 'start' }>;
/** Of a sandbox in which nothing starts. */
export type PrepareStep = Extract<ContainerStep, { op: 'prepare' }>;

/** What it does, in an order in which it can be done. */
export type BootStep =
  { readonly step: MountStep; readonly view: View } | { readonly step: StartStep | PrepareStep; readonly view: View };

interface Given {
  readonly hierarchies: Hierarchies;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: number;
}

/** Steps of the cold boot of a state: all mounts, then the others, dependencies first. The same objects where they are the same. */
export type ColdBoots = (state: State, given: Given) => Sliced<BootStep[]>;

/** What a cold boot does for a name, and what that was found from. */
interface Known {
  readonly from: readonly unknown[];
  readonly steps: readonly BootStep[];
}

/** The cold boot of one state, found anew. */
export function coldBoot(state: State, given: Given): BootStep[] {
  return atOnce(createColdBoots()(state, given));
}

/**
 * The packages in directories are all that outlives a boot: nothing is mounted, nothing has run. Those that others than root may
 * change do not count. Only names are walked that something has changed for since the last time.
 */
export function createColdBoots(): ColdBoots {
  let everybody: readonly unknown[] = [];
  let known: ReadonlyMap<string, Known> = new Map();
  return function* (state, given) {
    const common = commonOf(state, given);
    const earlier = isSame(common, everybody) ? known : new Map<string, Known>();
    const found = new Map<string, Known>();
    const others = new Map<string, readonly unknown[]>();
    const around = new Set<string>();
    for (const [name, { names, from }] of reachesOf(state)) {
      yield;
      const before = earlier.get(name);
      if (before !== undefined && isSame(before.from, from)) {
        found.set(name, before);
        continue;
      }
      others.set(name, from);
      for (const each of names) around.add(each);
    }
    if (others.size > 0) {
      const stepsOf = yield* walked(cold(state, around), given);
      for (const [name, from] of others) found.set(name, { from, steps: stepsOf(name) });
    }
    [everybody, known] = [common, found];
    return ordered([...found.values()].flatMap(({ steps }) => steps));
  };
}

/** What the boot of every name comes from. */
function commonOf(state: State, { hierarchies, now }: Given): readonly unknown[] {
  const { desired, forced, unknown, trial, staged, quarantine, clock, observed } = state;
  const repositories = [...observed.repositories.values()].flatMap(({ id, type, stale }) => [id, type, stale]);
  const asked = [...desired.repositories.values()].flatMap(({ id, mountOnStart }) => [id, mountOnStart]);
  const { boot, distance } = clock;
  const told = [desired.autostart, forced, unknown, trial, staged, quarantine, boot, distance, hierarchies, now];
  return [...told, '', ...asked, '', ...repositories];
}

function isSame(parts: readonly unknown[], others: readonly unknown[]): boolean {
  return parts.length === others.length && parts.every((part, index) => part === others[index]);
}

/** The state of these names alone, before anything has been done. */
function cold(state: State, names: ReadonlySet<string>): State {
  const { repositories } = state.observed;
  const lasting = ({ repository, foreign }: ObservedPackage) =>
    repositories.get(repository)?.type === 'fs' && foreign === null;
  const packages = new Map<string, readonly ObservedPackage[]>();
  const ahead: [string, Ahead][] = [];
  for (const name of names) {
    const kept = (state.observed.packages.get(name) ?? []).filter(lasting);
    if (kept.length > 0) packages.set(name, kept);
    const said = state.ahead.get(name);
    if (said !== undefined) ahead.push([name, said]);
  }
  const containers = new Map([...state.desired.containers].filter(([, { name }]) => names.has(name)));
  return {
    ...state,
    desired: { ...state.desired, containers },
    ahead: new Map(ahead),
    orders: new Map(),
    observed: { ...emptyObserved(), repositories, packages },
  };
}

/** Walks from there to the end: gives what that does for a name. */
function* walked(before: State, { hierarchies, now }: Given): Sliced<(name: string) => BootStep[]> {
  const options = { hierarchies, defaultRepository: null, packageAt: () => null, now, autostart: true };
  const { done, model } = yield* striding(before, options);
  const gone = new Set(done.flatMap(({ step }) => (step.op === 'go' ? [step.key] : [])));
  const prepared = new Map<string, PrepareStep>();
  const mounts = new Map<string, BootStep>();
  const others = new Map<string, BootStep[]>();
  const add = (each: BootStep): void => {
    others.set(each.step.name, [...(others.get(each.step.name) ?? []), each]);
  };
  for (const { step, view } of done) {
    if (step.op === 'mount') mounts.set(step.id, { step, view });
    else if (step.op === 'start') add({ step, view });
    else if (step.op === 'prepare' && !gone.has(step.key)) add({ step, view });
    else if (step.op === 'prepare') prepared.set(step.key, step);
    // What depends on others is prepared before they run. What replaces one that has just started is left to the reconciler.
    const sandbox = step.op === 'go' && step.after === 0 ? prepared.get(step.key) : undefined;
    if (sandbox !== undefined) add({ step: { ...sandbox, op: 'start' }, view });
  }
  return (name) => {
    const images = new Set(model.view(name, now).targets.flatMap(imagesOf));
    return [...[...images].flatMap((id) => mounts.get(id) ?? []), ...(others.get(name) ?? [])];
  };
}

/** Which images are mounted for a target. */
function imagesOf({ entry, version, resources }: Target): string[] {
  if (version === null || (entry.state !== 'mounted' && entry.state !== 'running')) return [];
  return [containerId(entry.name, version), ...resources.flatMap(({ id }) => id ?? [])];
}

/** Mounts first, each once; then what has no dependency, and what depends on that; by name in between. */
function ordered(steps: readonly BootStep[]): BootStep[] {
  const mounts = new Map<string, BootStep>();
  const others: BootStep[] = [];
  const dependencies = new Map<string, readonly string[]>();
  for (const each of steps) {
    const { step, view } = each;
    if (step.op === 'mount') {
      mounts.set(step.id, each);
      continue;
    }
    others.push(each);
    const entry = step.op === 'start' ? view.targets.find(({ key }) => key === step.key)?.entry : undefined;
    if (entry !== undefined) dependencies.set(step.name, [...entry.dependsOn.keys()]);
  }
  const depths = depthsOf(dependencies);
  const sorted = others
    .map((each) => ({ each, depth: depths.get(each.step.name) ?? 0, name: each.step.name }))
    .sort((one, other) => one.depth - other.depth || compareText(one.name, other.name));
  const images = [...mounts].sort(([one], [other]) => compareText(one, other)).map(([, each]) => each);
  return [...images, ...sorted.map(({ each }) => each)];
}

/** How long the longest chain of dependencies below each name is. Such a chain may be as long as a document. */
function depthsOf(dependencies: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, number> {
  const depths = new Map<string, number>();
  const entered = new Set<string>();
  const path = [...dependencies.keys()];
  for (let name = path.at(-1); name !== undefined; name = path.at(-1)) {
    const below = dependencies.get(name) ?? [];
    const more = entered.has(name) ? [] : below.filter((other) => !entered.has(other));
    entered.add(name);
    path.push(...more);
    if (more.length > 0) continue;
    path.pop();
    if (!depths.has(name)) depths.set(name, Math.max(-1, ...below.map((other) => depths.get(other) ?? 0)) + 1);
  }
  return depths;
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
