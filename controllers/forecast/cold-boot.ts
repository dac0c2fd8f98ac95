// What the first start after a boot would do: which images are mounted, which containers start, and which sandboxes are kept
// ready, in this order. Pure.
import { emptyObserved, type ObservedPackage } from '../../state/observed.ts';
import { atOnce, type Sliced } from '../../state/in-slices.ts';
import type { State } from '../../state/store.ts';
import type { View } from '../controller.ts';
import type { Hierarchies } from '../cgroups/cgroup-hierarchies.ts';
import type { MountStep } from '../mounts/mounts-plan.ts';
import type { ContainerStep } from '../containers/containers-plan.ts';
import { striding } from './walk.ts';

export type StartStep = Extract<ContainerStep, { op: 'start' }>;
/** Of a sandbox in which nothing starts. */
export type PrepareStep = Extract<ContainerStep, { op: 'prepare' }>;

/** What it does, in an order in which it can be done. */
export type BootStep =
  { readonly step: MountStep; readonly view: View } | { readonly step: StartStep | PrepareStep; readonly view: View };

/**
 * The packages in directories are all that outlives a boot: nothing is mounted, nothing has run. Those that others than root may
 * change do not count. `now` is CLOCK_BOOTTIME in ms.
 */
export function coldBoot(state: State, given: { hierarchies: Hierarchies; now: number }): BootStep[] {
  return atOnce(coldBooting(state, given));
}

/** The same, a step at a time. */
export function* coldBooting(
  state: State,
  { hierarchies, now }: { hierarchies: Hierarchies; now: number },
): Sliced<BootStep[]> {
  const { repositories } = state.observed;
  const lasting = ({ repository, foreign }: ObservedPackage) =>
    repositories.get(repository)?.type === 'fs' && foreign === null;
  const kept = [...state.observed.packages].map(([name, all]) => [name, all.filter(lasting)] as const);
  const packages = new Map(kept.filter(([, all]) => all.length > 0));
  const before = { ...state, orders: new Map(), observed: { ...emptyObserved(), repositories, packages } };
  const options = { hierarchies, defaultRepository: null, packageAt: () => null, now, autostart: true };
  const { done } = yield* striding(before, options);
  const gone = new Set(done.flatMap(({ step }) => (step.op === 'go' ? [step.key] : [])));
  const prepared = new Map<string, PrepareStep>();
  return done.flatMap(({ step, view }): BootStep[] => {
    if (step.op === 'mount' || step.op === 'start') return [{ step, view } as BootStep];
    if (step.op === 'prepare' && !gone.has(step.key)) return [{ step, view }];
    if (step.op === 'prepare') prepared.set(step.key, step);
    // What depends on others is prepared before they run. What replaces one that has just started is left to the reconciler.
    const sandbox = step.op === 'go' && step.after === 0 ? prepared.get(step.key) : undefined;
    return sandbox === undefined ? [] : [{ step: { ...sandbox, op: 'start' }, view }];
  });
}
