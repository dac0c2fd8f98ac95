// The simulated device: what is true about packages, mounts, groups and runDir, whatever the reconciler has observed of it.
import type { AnyStep, Circumstances } from '../../controllers/forecast/effect.ts';
import { effect } from '../../controllers/forecast/effect.ts';
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import type { View } from '../../controllers/controller.ts';
import { emptyDesired, type ContainerEntry, type Desired } from '../../state/desired.ts';
import type { KeptFailure } from '../../controllers/reconcile/standing-failures.ts';
import type { Observed, ObservedAttempt, ObservedPackage } from '../../state/observed.ts';
import { emptyState, type Locked, type State } from '../../state/store.ts';
import type { Memory } from '../../controllers/containers/ahead.ts';
import { names, packageAt, packageOf } from './catalog.ts';
import type { Random } from './random.ts';
import type { Time } from './time.ts';

export const hierarchies: Hierarchies = {
  legacy: new Map([['memory', '/sys/fs/cgroup/memory']]),
  unified: null,
  unifiedControllers: new Set(),
  others: [],
  swappiness: '60',
  pageSize: 4096,
  mostProcesses: null,
};

const GIB = 2 ** 30;

export interface Faults {
  /** Probability that an act fails, takes long, and that what the outside does goes unnoticed. */
  error: number;
  delay: number;
  lost: number;
}

/** What a step was begun on: a device that changes while it is under way makes it no fault. */
export type Begun = Pick<World, 'observed' | 'desired'> & { readonly leaves: readonly number[] };

export interface World {
  readonly random: Random;
  readonly time: Time;
  readonly trace: string[];
  readonly faults: Faults;
  /** The truth. */
  observed: Observed;
  desired: Desired;
  generation: number;
  lock: Map<string, Locked>;
  /** The boot, and where the wall clock stands beside the time of the simulation. */
  clock: State['clock'];
  /** What the launcher keeps of failures. */
  failures: readonly KeptFailure[];
  /** The launcher's global record: autostart has been judged. */
  judged: boolean;
  /** What a host path leads to: a sandbox made before it changed is not to be used. */
  host: number;
  /** How much there is, and how much of it can still be given. */
  memory: Memory;
  /** Containers whose application ends by itself. */
  sick: boolean;
  /** Reads of the repository and of the document fail; null = they do not. What a reconciler had read of the packages. */
  unreadable: Observed['packages'] | null;
  /** Reads of the mount table and of control groups fail. */
  blind: boolean;
  /** What runDir had of runs was deleted, and nobody has written it again. */
  lostNotes: boolean;
  /** Leaves that another runtime has made in our groups: its processes are in them. */
  foreign: ReadonlySet<number>;
  /** What the repository holds while the document does not have it; null when it has. */
  removed: { readonly packages: Observed['packages']; readonly repositories: Desired['repositories'] } | null;
  /** How often something has happened that allows a name's instance to be replaced or repeated. */
  readonly demands: Map<string, number>;
  /** The runtime was told to go down. */
  stopping: boolean;
  acts: number;
  readonly acted: Set<string>;
  /** The first invariant that was found broken, null as long as all hold. */
  broken: string | null;
  /** `NAME RUN` of everything that was asked to run. */
  readonly noted: Set<string>;
  breach(text: string): void;
  fresh(): number;
  log(text: string): void;
  /** Makes a step's effect true, after checking that it might be done, by what was true when it was begun as well. */
  perform(step: AnyStep, view: View, begun: Begun): void;
  demand(name: string): void;
  entry(name: string): ContainerEntry | undefined;
}

/** A device with no document and nothing installed. */
export function createWorld(random: Random, time: Time): World {
  let last = 0;
  const world: World = {
    random,
    time,
    trace: [],
    faults: { error: 0, delay: 0, lost: 0 },
    observed: emptyState().observed,
    desired: emptyDesired,
    generation: 1,
    lock: new Map(),
    clock: { boot: 'boot 1', distance: 0 },
    failures: [],
    judged: false,
    host: 1,
    memory: { total: GIB, available: GIB / 2 },
    sick: true,
    unreadable: null,
    blind: false,
    lostNotes: false,
    foreign: new Set(),
    removed: null,
    demands: new Map(),
    stopping: false,
    acts: 0,
    acted: new Set(),
    broken: null,
    noted: new Set(),
    breach(text) {
      world.log(`BROKEN: ${text}`);
      world.broken ??= text;
    },
    fresh: () => ++last,
    log: (text) => void world.trace.push(`${time.now().toFixed(1).padStart(9)} ${text}`),
    perform(step, view, begun) {
      const { foreign, observed } = world;
      if (step.op === 'remove-leaf' && foreign.has(step.attempt))
        throw new Error('EBUSY: processes of another runtime');
      // What came since the step was begun, or had not been noticed then: the kernel removes no group that another one is in.
      const came = begun.observed.cgroups.get(step.name)?.leaves ?? [];
      const leaves = observed.cgroups.get(step.name)?.leaves ?? [];
      const isUnknown = (leaf: number): boolean => !came.includes(leaf) || !begun.leaves.includes(leaf);
      if (step.op === 'remove-group' && leaves.some((leaf) => foreign.has(leaf) || isUnknown(leaf)))
        throw new Error('EBUSY: groups are in it');
      checkUse(world, step, begun);
      world.observed = effect(world.observed, step, circumstances(world, view));
    },
    demand: (name) => void world.demands.set(name, (world.demands.get(name) ?? 0) + 1),
    entry: (name) =>
      [...world.desired.containers.values()].find((each) => each.name === name && each.state === 'running') ??
      world.desired.containers.get(name),
  };
  return world;
}

function circumstances(world: World, view: View): Circumstances {
  return {
    view,
    fresh: world.fresh,
    packageAt: (source) => packageAt(source, world.fresh()),
    digestOf: () => 'sha256:00',
    hierarchies,
  };
}

/** Nothing is torn down that is in use, and nothing that was not asked for is deleted. */
function checkUse({ observed, desired, breach }: World, step: AnyStep, begun: Begun): void {
  const before = new Set(liveOf(begun.observed).map(({ id }) => id));
  const live = liveOf(observed).filter(({ id }) => before.has(id));
  if (step.op === 'umount') {
    // One that is still being made, and that nobody has been told of, holds trees of its own.
    const user = live
      .filter(({ state }) => state !== 'preparing')
      .find(({ name, version, record }) => `${name}:${version}` === step.id || record.uses.includes(step.id));
    if (user !== undefined) breach(`${step.id} is unmounted while attempt ${user.id} of ${user.name} uses it`);
  }
  if (step.op === 'uninstall') {
    const asked = [desired, begun.desired].some(({ containers }) =>
      [...containers.values()].some(({ name, state }) => name === step.name && state === 'absent'),
    );
    if (!asked) breach(`${step.id} is deleted and no entry says absent`);
    const mounted = observed.mounts.get(step.name)?.some(({ id }) => id === step.id);
    if (mounted === true) breach(`${step.id} is deleted while its image is mounted`);
  }
  const taken = step.op === 'remove-leaf' ? [step.attempt] : step.op === 'remove-group' ? step.leaves : [];
  for (const { id } of live.filter((attempt) => taken.includes(attempt.id)))
    breach(`the leaf of attempt ${id} is removed while it lives`);
  const there = step.op === 'remove-group' ? (observed.cgroups.get(step.name)?.leaves ?? []) : [];
  const leaves = there.filter((leaf) => !taken.includes(leaf));
  if (leaves.length > 0) breach(`the group of ${step.name} is removed with leaf ${leaves.join(', ')} in it`);
}

function liveOf({ attempts }: Observed): ObservedAttempt[] {
  return [...attempts.values()].flat().filter(isLive);
}

/** Whether an attempt still has a process. */
export function isLive({ state }: ObservedAttempt): boolean {
  return state === 'preparing' || state === 'prepared' || state === 'running';
}

/** The image, of those that something uses, whose file was written to while it was mounted. */
export function writtenImage(
  { mounts }: Observed,
  { name, version, record }: { name: string; version: string; record: { uses: readonly string[] } },
): string | null {
  const used = [...mounts.values()].flat().filter(({ id }) => id === `${name}:${version}` || record.uses.includes(id));
  return used.find(({ integrity }) => integrity === 'written')?.id ?? null;
}

/** Puts a package file into the repository, from outside; an older file of the same version is replaced. */
export function drop(world: World, name: string, version: string): void {
  const others = (world.observed.packages.get(name) ?? []).filter((each) => each.version !== version);
  setPackages(world, name, [...others, packageOf(name, version, world.fresh())]);
}

/** Sets the files of a name, highest version first. */
export function setPackages(world: World, name: string, packages: readonly ObservedPackage[]): void {
  const next = new Map(world.observed.packages);
  if (packages.length === 0) next.delete(name);
  else
    next.set(
      name,
      [...packages].sort((a, b) => (a.version < b.version ? 1 : -1)),
    );
  world.observed = { ...world.observed, packages: next };
  demandByPackages(world, name);
}

/** Other packages of a name may ask for another container; whoever has missed them asks for it when they are seen. */
export function demandByPackages(world: World, name: string): void {
  const entry = world.entry(name);
  if (entry === undefined || entry.update === 'automatic') world.demand(name);
  for (const each of names) if (!world.desired.containers.has(each)) world.demand(each);
}
