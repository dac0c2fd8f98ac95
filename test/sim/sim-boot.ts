// A boot of the simulated device: everything but the files is gone. Where a plan of what was in force counts, the boot player
// does it before the reconciler is there, and may die at any deed.
import assert from 'node:assert/strict';
import { coldBoot, createColdBoots, type BootStep, type ColdBoots } from '../../controllers/forecast/cold-boot.ts';
import { atOnce } from '../../state/in-slices.ts';
import { limited, parentOf, sectionOf } from '../../controllers/cgroups/cgroups-plan.ts';
import { encodeRecord } from '../../controllers/containers/attempt-record.ts';
import { madeFrom } from '../../controllers/containers/candidate.ts';
import { recordOf } from '../../controllers/containers/containers-act.ts';
import { noGroup } from '../../controllers/forecast/effect.ts';
import { neverAtBoot } from '../../src/boot/make-plan.ts';
import type { RepositoryEntry } from '../../state/desired.ts';
import type { ObservedPackage, ObservedRepository } from '../../state/observed.ts';
import { emptyState, type State } from '../../state/store.ts';
import { leaveGroups } from './sim-events.ts';
import type { SimulatedLauncher } from './sim-launcher.ts';
import { hierarchies, type World } from './world.ts';

/** What was in force, and the packages as they were, when it was kept. */
export interface SimulatedPlan {
  readonly generation: number;
  readonly lock: World['lock'];
  /** What the host's paths led to. */
  readonly host: string;
  readonly steps: readonly BootStep[];
}

/** What a player has done, as far as it came. */
export interface Playing {
  readonly played: Set<string>;
  done: boolean;
}

/** The plan of what is in force now. */
export function keepPlan(world: World): SimulatedPlan {
  const { desired, generation, lock } = world;
  const repositories = new Map([...desired.repositories.values()].map((entry) => [entry.id, readable(entry)]));
  const observed = { ...world.observed, repositories };
  const state: State = { ...emptyState(), desired, generation, lock: new Map(lock), observed };
  const inPlan = new Set<string>();
  const steps = bootOf(world, state).filter(({ step, view }) => {
    if (step.op === 'mount') return step.image !== null;
    const target = view.targets.find(({ key }) => key === step.key);
    const starts = step.op === 'start';
    if (target === undefined || (target.autostart === null && neverAtBoot(target.entry, starts) !== null)) return false;
    if (!starts) return target.entry.state === 'mounted';
    const needs = [...target.entry.dependsOn.keys(), ...view.partners.keys()];
    if (!needs.every((name) => inPlan.has(name))) return false;
    inPlan.add(step.name);
    return true;
  });
  return { generation, lock: new Map(lock), host: String(world.host), steps };
}

const coldBoots = new WeakMap<World, ColdBoots>();

/** What has been found for the plan before is known yet, and nothing else than what is found anew. */
function bootOf(world: World, state: State): readonly BootStep[] {
  const given = { hierarchies, now: 0 };
  const known = coldBoots.get(world) ?? createColdBoots();
  coldBoots.set(world, known);
  const steps = atOnce(known(state, given));
  assert.deepEqual(steps.map(saidOf), coldBoot(state, given).map(saidOf), 'the boot plan is of another time');
  return steps;
}

/** All that a unit of the plan is made from; the walks number mounts and attempts. */
function saidOf({ step, view }: BootStep): unknown {
  if (step.op === 'mount') return step;
  const { targets, partners, resourceMounts } = view;
  return { ...step, made: '', targets, partners: [...partners.keys()], resources: [...resourceMounts.keys()] };
}

/** The device does not say what its repositories are like. */
function readable({ id, type, dir, integrity }: RepositoryEntry): ObservedRepository {
  const nothing = { packages: 0, size: 0, broken: [], error: null, stale: false } as const;
  return { id, type, dir, integrity, verified: false, ...nothing };
}

/** The power fails, and comes back: files are all that stays. */
export function cutPower(world: World, launcher: SimulatedLauncher): void {
  world.log('the power is cut');
  leaveGroups(world);
  launcher.die(true);
  world.observed = { ...world.observed, cgroups: new Map() };
  world.judged = false;
}

/** Begins to play; whoever connects to the launcher next ends that, wherever it is. */
export function playPlan(world: World, launcher: SimulatedLauncher, plan: SimulatedPlan): Playing {
  const playing: Playing = { played: new Set(), done: false };
  const isSame = plan.generation === world.generation && sameLock(plan.lock, world.lock);
  if (!isSame || world.unreadable !== null) {
    world.log('the boot plan does not fit');
    return { ...playing, done: true };
  }
  world.log(`a boot plan of ${plan.steps.length} steps is played`);
  void play(world, launcher, plan, playing);
  return playing;
}

function sameLock(one: World['lock'], other: World['lock']): boolean {
  return one.size === other.size && [...one].every(([key, { version }]) => other.get(key)?.version === version);
}

async function play(world: World, simulated: SimulatedLauncher, plan: SimulatedPlan, playing: Playing): Promise<void> {
  const { launcher, connected } = simulated.connect(() => undefined);
  const left = new Set<string>();
  const attempts = new Map<string, number>();
  for (const { step, view } of plan.steps) {
    await world.time.sleep(world.random.pick([0.1, 1, 5]));
    if (!connected()) return;
    const target = step.op === 'mount' ? undefined : view.targets.find(({ key }) => key === step.key);
    const images = [
      step.op === 'mount' ? step.id : `${step.name}:${step.version}`,
      ...(target?.resources ?? []).flatMap(({ id }) => id ?? []),
    ];
    const needs = [...images, ...(step.op === 'start' ? (target?.entry.dependsOn.keys() ?? []) : [])];
    const unchanged = images.every((id) => isUnchanged(world, id, view.packages));
    if (!unchanged || needs.some((id) => left.has(id)) || world.random.chance(world.faults.error)) {
      left.add(step.op === 'mount' ? step.id : step.name);
      continue;
    }
    if (step.op === 'mount') {
      world.log(`player: mount ${step.id}`);
      world.perform(step, view, { ...world, leaves: view.cgroup?.leaves ?? [] });
    } else if (target !== undefined) {
      await begin({ step, view, target }).catch(() => left.add(step.name));
    }
  }
  if (connected()) playing.done = true;

  async function begin({ step, view, target }: SandboxStep & { target: Target }) {
    const { name } = step;
    const id = world.fresh();
    world.log(`player: ${step.op} ${name} as attempt ${id}`);
    const section = sectionOf(target);
    const none = noGroup(name, parentOf(section));
    const next = { ...none, leaves: [id], ...limited(none, section, hierarchies) };
    world.observed = { ...world.observed, cgroups: new Map(world.observed.cgroups).set(name, next) };
    const partners = new Map([...view.partners.keys()].map((other) => [other, attempts.get(other) ?? 0]));
    const made = step.op === 'start' ? '' : madeFrom(view, target, ({ id: image }) => mountNumber(world, image));
    const record = recordOf({ ...step, made }, target, { partners }, world.time.now());
    await launcher.prepare({ id, name, hash: plan.host, record: encodeRecord(record), ops: [] });
    if (step.op === 'prepare') {
      playing.played.add(name);
      return;
    }
    attempts.set(name, id);
    const note = { run: record.run, exit: null, attempt: id };
    if (!record.autostart) world.observed = { ...world.observed, ran: new Map(world.observed.ran).set(name, note) };
    try {
      await launcher.go({ id, after: 0, record: encodeRecord(record), ops: [] });
      playing.played.add(name);
    } catch (error) {
      const ran = new Map(world.observed.ran);
      ran.delete(name);
      world.observed = { ...world.observed, ran };
      throw error;
    }
  }
}

type Target = BootStep['view']['targets'][number];
type SandboxStep = Exclude<BootStep, { step: { op: 'mount' } }>;

/** The id of a mount that was played. */
function mountNumber({ observed }: World, id: string): string {
  const found = [...observed.mounts.values()].flat().find((mount) => mount.id === id);
  return String(found?.mountId);
}

/** The file that was verified, of the view's own name; others are looked at when they are mounted. */
function isUnchanged(world: World, id: string, then: readonly ObservedPackage[]): boolean {
  const before = then.find((each) => each.id === id);
  if (before === undefined) return true;
  const now = world.observed.packages.get(before.name)?.find((each) => each.id === id);
  return now?.identity.ino === before.identity.ino;
}
