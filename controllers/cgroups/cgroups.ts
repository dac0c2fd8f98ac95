// The cgroups controller: a group per container name with its limits, a leaf per attempt with its processes.
//
//   createCgroups({ hierarchies, root, log }): Cgroups          hierarchies: from detectHierarchies()
//     plan(view)                pure, see cgroups-plan.ts
//     act(step)                 limit: TerminalError (CgroupRefused, NoController, BadLimit); remove-*: Error while still in use
//     observe(), observeOne(n)  the groups below root, and which limits their files show
//     leaf(name, id, section)   makes the leaf of an attempt and opens what a sandbox needs of it; close() when sent. With
//                               `everywhere` not only in the hierarchies that the section needs, but in all
//     limits(name, section)     opens the files of the group that are to change, in the order that the kernel accepts; close() when sent
//     alarm(kind, name, id)     what the launcher is to watch of a running attempt; memoryEvents(name, id): what has happened
//     usage(name)               statistics in the console's shape
//     removeRoot()              at the end: the roots; one that something is left in stays, and is logged
import type { Logger } from 'pino';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import type { ObservedCgroup } from '../../state/observed.ts';
import { memoryEvents, openFreezeAlarm, openMemoryAlarm, type Alarm, type MemoryEvents } from './cgroup-alarm.ts';
import { writeControl } from './cgroup-files.ts';
import {
  allBranches,
  branchesOf,
  branchesWith,
  groupIn,
  groupsIn,
  leavesIn,
  makeGroup,
  namesIn,
  removeGroup,
  removeRoots,
  type Branch,
  type Tree,
} from './cgroup-groups.ts';
import type { ControllerName, Hierarchies } from './cgroup-hierarchies.ts';
import { freeze, frozenLeaves, thaw } from './cgroup-freeze.ts';
import { openPlaces } from './cgroup-places.ts';
import { claimRoot, holdsRoot } from './cgroup-owner.ts';
import { makeLeaf, moveInto, ownOf, removeLeaf, setOwn, type Leaf } from './cgroup-leaf.ts';
import { controllersOf, limitsOf, withDefaults } from './cgroup-limits.ts';
import { giveRealtime } from './cgroup-realtime.ts';
import { usageOf, type Usage } from './cgroup-usage.ts';
import { changesFor, openLimits, shownLimits, type LimitFiles } from './cgroup-writes.ts';
import { planCgroups, type CgroupStep } from './cgroups-plan.ts';
import { partOf, type Controller, type Part } from '../controller.ts';
import type { Observing } from '../observing.ts';

export type { Leaf, LimitFiles };

export interface Cgroups extends Controller<CgroupStep> {
  observe(): Map<string, ObservedCgroup>;
  observeOne(name: string): ObservedCgroup | null;
  leaf(name: string, attempt: number, section: Section | null, everywhere?: boolean): Promise<Leaf>;
  limits(name: string, section: Section | null): LimitFiles;
  /** Null when there is nothing to watch. The descriptor is the caller's to close. */
  alarm(kind: 'memory' | 'freeze', name: string, attempt: number): Alarm | null;
  memoryEvents(name: string, attempt: number): MemoryEvents;
  usage(name: string): Usage;
  /** Takes the groups for this runtime, unless `held` does; see cgroup-owner.ts. Gives what is to be kept, null: `held` is. */
  claim(holder: string, held: number | null): Promise<number | null>;
  removeRoot(): Promise<void>;
}

/** Groups lie below the directory `root` of every hierarchy that is used. */
export function createCgroups(options: {
  readonly hierarchies: Hierarchies;
  readonly root: string;
  /** The runtime's stateDir: only leaves that it has made are killed. */
  readonly owner: string;
  /** Where it is kept which groups are below a `parent` instead; left out: nowhere. */
  readonly placesFile?: string;
  /** Every container is in groups of cpu and memory, whatever its section says. */
  readonly accounting?: boolean;
  readonly log: Pick<Logger, 'warn'>;
}): Cgroups {
  const { hierarchies, log, accounting = false } = options;
  const always: readonly ControllerName[] = accounting ? ['cpu', 'cpuacct', 'memory'] : [];
  const controllersFor = (section: Section | null) => new Set([...controllersOf(section), ...always]);
  const initially = limitsOf(null, hierarchies).limits;
  const places = openPlaces(options.placesFile ?? null);
  const { root, owner } = options;
  const tree: Tree = { hierarchies, root, owner, places, making: new Map() };

  async function leaf(name: string, attempt: number, asked: Section | null, everywhere = false): Promise<Leaf> {
    const section = withDefaults(asked, hierarchies);
    // What the host cannot do is refused before anything is made.
    for (const leftOut of limitsOf(section, hierarchies).leftOut)
      log.warn({ container: name, leftOut }, 'limit left out');
    // One that has a group stays where it is.
    if (branchesWith(tree, name).length === 0) places.set(name, parentOf(section));
    const branches = everywhere ? allBranches(tree) : branchesOf(tree, controllersFor(section));
    const made = await makeLeaf(tree, branches, name, attempt, section);
    try {
      giveRealtime(tree, name, section);
      await setOwn(tree, name, attempt, section);
      return made;
    } catch (error) {
      made.close();
      throw error;
    }
  }

  /** Limits of what runs. A hierarchy that the name was not in yet gets its processes first. */
  async function limit(name: string, section: Section | null): Promise<void> {
    const branches = branchesWith(tree, name);
    const present = groupsIn(branches, name);
    const missing = branchesOf(tree, controllersOf(section)).filter(({ controllers }) =>
      controllers.some((controller) => !present.has(controller)),
    );
    await Promise.all(missing.map((branch) => makeGroup(tree, branch, name)));
    giveRealtime(tree, name, section);
    for (const branch of missing) {
      for (const attempt of leavesIn(branches, name)) await moveInto(tree, branch, name, attempt, { section });
    }
    for (const { path, value } of changesFor(tree, name, section)) await writeControl(path, value);
    for (const attempt of leavesIn(branches, name)) await setOwn(tree, name, attempt, section);
  }

  function describe(name: string, branches: readonly Branch[]): ObservedCgroup | null {
    if (branches.length === 0) return null;
    const groups = groupsIn(branches, name);
    const leaves = leavesIn(branches, name);
    return {
      name,
      groups,
      leaves,
      limits: shownLimits(initially, groups),
      own: ownOf(tree, name, leaves),
      frozen: frozenLeaves(tree, name),
    };
  }

  return {
    plan: (view) => planCgroups(view, hierarchies),
    async act(step, signal) {
      signal.throwIfAborted();
      if (step.op === 'limit') await limit(step.name, step.section);
      else if (step.op === 'freeze') await freeze(tree, step.name, step.attempt, step.pid);
      else if (step.op === 'thaw') await thaw(tree, step.name, step.attempt);
      else if (step.op === 'remove-leaf') {
        // On v1 a process that is frozen does not even die of SIGKILL.
        await thaw(tree, step.name, step.attempt);
        await removeLeaf(tree, step.name, step.attempt);
      } else {
        await Promise.all(allBranches(tree).map((branch) => removeGroup(groupIn(branch, step.name))));
        places.set(step.name, null);
      }
    },
    observe() {
      const observed = [...namesIn(tree)].map(([name, branches]) => describe(name, branches));
      return new Map(observed.flatMap((group) => (group === null ? [] : [[group.name, group]])));
    },
    observeOne: (name) => describe(name, branchesWith(tree, name)),
    leaf,
    limits: (name, section) => openLimits(tree, name, withDefaults(section, hierarchies)),
    alarm: (kind, name, attempt) => (kind === 'memory' ? openMemoryAlarm : openFreezeAlarm)(tree, name, attempt),
    memoryEvents: (name, attempt) => memoryEvents(tree, name, attempt),
    usage: (name) => usageOf(groupsIn(branchesWith(tree, name), name), hierarchies),
    claim: async (holder, held) => (held !== null && holdsRoot(tree, held) ? null : await claimRoot(tree, holder)),
    async removeRoot() {
      for (const err of await removeRoots(tree)) log.warn({ err }, 'control group left behind');
    },
  };
}

/** The controller as the reconciler uses it. */
export function cgroupsPart(cgroups: Cgroups, observing: Pick<Observing, 'cgroup'>): Part {
  return partOf<CgroupStep>(cgroups.plan, async (step, signal) => {
    try {
      await cgroups.act(step, signal);
    } finally {
      observing.cgroup(step.name, cgroups.observeOne(step.name));
    }
  });
}

/** In one spelling; null is our root. */
function parentOf(section: Section | null): string | null {
  const steps = (section?.parent ?? '').split('/').filter((step) => step !== '' && step !== '.');
  return steps.length === 0 ? null : steps.join('/');
}
