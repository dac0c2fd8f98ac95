// The boot plan of what is in force: which units it has, in the order of a cold boot, and why something is not in it.
import type { Target } from '../../controllers/controller.ts';
import {
  createColdBoots,
  type BootStep,
  type PrepareStep,
  type StartStep,
} from '../../controllers/forecast/cold-boot.ts';
import { stillHold, type Look } from '../../controllers/look.ts';
import type { MountStep } from '../../controllers/mounts/mounts-plan.ts';
import { NotAtBoot } from '../../controllers/sandbox/sandbox-boot.ts';
import { encodeDeeds, type EncodedDeeds, type EncodedUnit } from '../../native/wire/boot-plan.ts';
import { containerId } from '../../state/container-id.ts';
import type { ContainerEntry } from '../../state/desired.ts';
import type { Sliced } from '../../state/in-slices.ts';
import type { State } from '../../state/store.ts';
import { imageDeeds, need, sandboxDeeds, setupDeeds, type PlanPorts } from './unit-deeds.ts';

/** How many containers a plan starts, and what it leaves: containers and images by name, with the reason. */
export interface Made {
  readonly started: number;
  readonly left: ReadonlyMap<string, string>;
}

/** The unit that every other needs. */
const common = 'the runtime';

/** Gives the units of everything that a cold boot of this state does and that a plan may hold to `take`, one at a time. */
export type MakeUnits = (state: State, ports: PlanPorts, take: (unit: EncodedUnit) => void) => Sliced<Made>;

/**
 * Remembers what it has made: only what has changed since is made anew. Containers keep their attempts' numbers meanwhile, so
 * that a unit says the same wherever it stands.
 */
export function createUnits(): MakeUnits {
  const coldBoots = createColdBoots();
  const images = new WeakMap<BootStep, EncodedDeeds>();
  const sandboxes = new WeakMap<BootStep, Sandbox>();
  let numbers: ReadonlyMap<string, number> = new Map();

  return function* (state, ports, take) {
    take({ name: common, needs: [], deeds: encodeDeeds(common, setupDeeds(state, ports)) });
    let units = 1;
    const left = new Map<string, string>();
    const steps = yield* coldBoots(state, { hierarchies: ports.hierarchies, now: 0 });
    const before: Before = { images: new Map(), containers: new Map(), attempts: new Map() };
    const numberOf = numbering(steps, numbers);
    for (const each of byUse(steps)) {
      yield;
      const { step } = each;
      const name = step.op === 'mount' ? step.id : step.name;
      try {
        take(step.op === 'mount' ? image(each, step, ports) : sandbox(each, step, numberOf(name)));
        if (step.op === 'mount') before.images.set(name, units);
        else before.attempts.set(name, numberOf(name));
        if (step.op === 'start') before.containers.set(name, units);
        units += 1;
      } catch (error) {
        if (!(error instanceof NotAtBoot)) throw error;
        left.set(name, error.message);
      }
    }
    for (const entry of state.desired.containers.values())
      if (entry.state === 'running' && !before.attempts.has(entry.name) && !left.has(entry.name))
        left.set(entry.name, whyNotReached(entry, before.attempts));
    numbers = before.attempts;
    return { started: before.containers.size, left };

    function sandbox(each: BootStep, step: StartStep | PrepareStep, attempt: number): EncodedUnit {
      const target = each.view.targets.find(({ key }) => key === step.key);
      if (target === undefined) throw new NotAtBoot('it is not asked for');
      const needs = needsOf(step, target, before);
      const partners = [...each.view.partners.keys()].map((other) => need(before.attempts, other)).join();
      const known = sandboxes.get(each);
      const holds = known?.attempt === attempt && known.partners === partners && stillHold(known.looks);
      if (holds) return { name: step.name, needs, deeds: known.deeds };
      const { deeds, looks } = sandboxDeeds(step, target, each.view, { attempt, attempts: before.attempts, ports });
      const made = { attempt, partners, looks, deeds: encodeDeeds(step.name, deeds) };
      sandboxes.set(each, made);
      return { name: step.name, needs, deeds: made.deeds };
    }
  };

  function image(each: BootStep, step: MountStep, ports: PlanPorts): EncodedUnit {
    // Another file is another package, and another step; the player compares it once more.
    const deeds = images.get(each) ?? encodeDeeds(step.id, imageDeeds(step, ports));
    images.set(each, deeds);
    return { name: step.id, needs: [0], deeds };
  }
}

/** What was made for a step, and what it was made by beside it. */
interface Sandbox {
  readonly attempt: number;
  readonly partners: string;
  readonly looks: readonly Look[];
  readonly deeds: EncodedDeeds;
}

/** The number that the attempt of a name had before, or the lowest that is free. */
function numbering(steps: readonly BootStep[], before: ReadonlyMap<string, number>): (name: string) => number {
  const given = new Map<string, number>();
  for (const { step } of steps) {
    const number = step.op === 'mount' ? undefined : before.get(step.name);
    if (number !== undefined) given.set(step.name, number);
  }
  const used = new Set(given.values());
  let next = 1;
  return (name) => {
    const known = given.get(name);
    if (known !== undefined) return known;
    while (used.has(next)) next += 1;
    given.set(name, next);
    used.add(next);
    return next;
  };
}

/** Why a cold boot does not come to an entry by itself. */
function whyNotReached(entry: ContainerEntry, attempts: Before['attempts']): string {
  const lacks = [...entry.dependsOn.keys()].find((name) => !attempts.has(name));
  const reason = lacks === undefined ? 'a boot does not come to it at once' : `${lacks} is not in the plan`;
  return neverAtBoot(entry, true) ?? reason;
}

/** Each image right before the first that needs it, so that this one need not wait for those of others. */
function byUse(steps: readonly BootStep[]): Iterable<BootStep> {
  const mounts = new Map(steps.flatMap((each) => (each.step.op === 'mount' ? [[each.step.id, each] as const] : [])));
  const ordered = new Set<BootStep>();
  for (const each of steps) {
    const { step, view } = each;
    if (step.op === 'mount') continue;
    const resources = view.targets.find(({ key }) => key === step.key)?.resources ?? [];
    for (const id of [containerId(step.name, step.version), ...resources.flatMap((resource) => resource.id ?? [])]) {
      const mount = mounts.get(id);
      if (mount !== undefined) ordered.add(mount);
    }
    ordered.add(each);
  }
  for (const mount of mounts.values()) ordered.add(mount);
  return ordered;
}

/** Units by their place, and attempts, which are numbered as the launcher's first ones. */
interface Before {
  readonly images: Map<string, number>;
  readonly containers: Map<string, number>;
  readonly attempts: Map<string, number>;
}

/** What it needs of what comes before. Throws NotAtBoot. */
function needsOf(step: StartStep | PrepareStep, target: Target, before: Before): number[] {
  const starts = step.op === 'start';
  // One that waits for others gets its sandbox from whoever starts it.
  if (!starts && target.entry.state === 'running') throw new NotAtBoot(whyNotReached(target.entry, before.attempts));
  const never = target.autostart === null ? neverAtBoot(target.entry, starts) : null;
  if (never !== null) throw new NotAtBoot(never);
  const ids = [containerId(step.name, step.version), ...target.resources.flatMap(({ id }) => id ?? [])];
  const dependencies = starts ? [...target.entry.dependsOn.keys()] : [];
  return [0, ...ids.map((id) => need(before.images, id)), ...dependencies.map((name) => need(before.containers, name))];
}

/** Why an entry is left for the reconciler, null when it need not be; `starts`: more than its sandbox is made. */
export function neverAtBoot(entry: ContainerEntry, starts: boolean): string | null {
  const { run } = entry;
  if (entry.writtenBy === 'console' || entry.changedBy === 'console') return 'a console has said so';
  if (!starts) return null;
  const more = [...entry.dependsOn].find(([, what]) => what !== 'running');
  if (entry.paused) return 'it is paused';
  if (run !== null && (run.init ?? run.args ?? run.env) !== null) return 'it has a run of its own';
  if (entry.schedule !== null) return 'it has a schedule';
  if (entry.restart.policy === 'never' || entry.timeout !== null) return 'it is a job';
  return more === undefined ? null : `it waits for more than that ${more[0]} runs`;
}
