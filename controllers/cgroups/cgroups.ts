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
//     usage(name)               statistics in the console's shape; counts(name): the few that are measured over time
//     removeRoot()              at the end: the roots; one that something is left in stays, and is logged
import type { Logger } from 'pino';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import type { Deed } from '../../native/wire/boot-plan.ts';
import type { ObservedCgroup } from '../../state/observed.ts';
import { memoryEvents, openFreezeAlarm, openMemoryAlarm, type Alarm, type MemoryEvents } from './cgroup-alarm.ts';
import { branchesOf, branchesWith, createTree, groupsIn, removeRoots } from './cgroup-groups.ts';
import type { ControllerName, Hierarchies } from './cgroup-hierarchies.ts';
import { thaw } from './cgroup-freeze.ts';
import { bootGroups, bootRoots, type BootGroups } from './cgroup-boot.ts';
import { openPlaces } from './cgroup-places.ts';
import { claimRoot, holdsRoot } from './cgroup-owner.ts';
import { makeLeaf, openLeaf, setOwn, type Leaf } from './cgroup-leaf.ts';
import { countsOf, type Counts } from './cgroup-counts.ts';
import { controllersOf, limitsOf, withDefaults } from './cgroup-limits.ts';
import { giveRealtime } from './cgroup-realtime.ts';
import { usageOf, type Usage } from './cgroup-usage.ts';
import { openLimits, type LimitFiles } from './cgroup-writes.ts';
import { parentOf, planCgroups, type CgroupStep } from './cgroups-plan.ts';
import { partOf, type Controller, type Part } from '../controller.ts';
import type { Observing } from '../observing.ts';
import { actOnGroups } from './cgroups-act.ts';
import { observeGroup, observeGroups } from './cgroups-observe.ts';

export type { Leaf, LimitFiles };

export interface Cgroups extends Controller<CgroupStep> {
  observe(): Map<string, ObservedCgroup>;
  observeOne(name: string): ObservedCgroup | null;
  leaf(name: string, attempt: number, section: Section | null, everywhere?: boolean): Promise<Leaf>;
  /** The same for whoever joins what runs: its leaf is there, unless somebody else has removed it. */
  joinLeaf(name: string, attempt: number, section: Section | null, everywhere?: boolean): Promise<Leaf>;
  limits(name: string, section: Section | null): LimitFiles;
  /** Lets an attempt go on with all that it has frozen of itself; gives whether anything was frozen. */
  thaw(name: string, attempt: number): Promise<boolean>;
  /** Null when there is nothing to watch. The descriptor is the caller's to close. */
  alarm(kind: 'memory' | 'freeze', name: string, attempt: number): Alarm | null;
  memoryEvents(name: string, attempt: number): MemoryEvents;
  usage(name: string): Usage;
  counts(name: string): Counts;
  /** The groups of a start as the boot player makes them, and what they all stand on (cgroup-boot.ts). */
  readonly boot: {
    groups(name: string, attempt: number, section: Section | null, everywhere: boolean): BootGroups;
    roots(slot: number): Deed[];
  };
  /** Takes the groups for this runtime, unless `held` does; see cgroup-owner.ts. Gives what is to be kept, null: `held` is. */
  claim(holder: string, held: number | null): Promise<number | null>;
  removeRoot(): Promise<void>;
  /** Writes `placesFile` again when it was deleted. */
  restore(): void;
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
  const { hierarchies, log, accounting = false, placesFile = null } = options;
  const always: readonly ControllerName[] = accounting ? ['cpu', 'cpuacct', 'memory'] : [];
  const controllersFor = (section: Section | null) => new Set([...controllersOf(section), ...always]);
  const initially = limitsOf(null, hierarchies).limits;
  const places = openPlaces(placesFile);
  const { root, owner } = options;
  const tree = createTree({ hierarchies, root, owner, places });

  async function leaf(name: string, attempt: number, asked: Section | null, everywhere = false): Promise<Leaf> {
    const section = withDefaults(asked, hierarchies);
    // What the host cannot do is refused before anything is made.
    for (const leftOut of limitsOf(section, hierarchies).leftOut)
      log.warn({ container: name, leftOut }, 'limit left out');
    // One that has a group stays where it is.
    if (branchesWith(tree, name).length === 0) places.set(name, parentOf(section));
    const branches = everywhere ? tree.all : branchesOf(tree, controllersFor(section));
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

  async function joinLeaf(name: string, attempt: number, asked: Section | null, everywhere = false): Promise<Leaf> {
    const section = withDefaults(asked, hierarchies);
    const branches = everywhere ? tree.all : branchesOf(tree, controllersFor(section));
    return openLeaf(branches, name, attempt, section) ?? (await leaf(name, attempt, asked, everywhere));
  }

  return {
    restore: places.restore,
    plan: (view) => planCgroups(view, hierarchies),
    async act(step, signal) {
      signal.throwIfAborted();
      await actOnGroups(step, tree, log);
    },
    observe: () => observeGroups(tree, initially),
    observeOne: (name) => observeGroup(tree, name, initially),
    leaf,
    joinLeaf,
    limits: (name, section) => openLimits(tree, name, withDefaults(section, hierarchies)),
    thaw: (name, attempt) => thaw(tree, name, attempt),
    alarm: (kind, name, attempt) => (kind === 'memory' ? openMemoryAlarm : openFreezeAlarm)(tree, name, attempt),
    memoryEvents: (name, attempt) => memoryEvents(tree, name, attempt),
    counts: (name) => countsOf(groupsIn(branchesWith(tree, name), name), hierarchies),
    usage: (name) => usageOf(groupsIn(branchesWith(tree, name), name), hierarchies),
    boot: {
      groups: (name, attempt, section, everywhere) =>
        bootGroups(tree, name, attempt, section, { everywhere, always, placesFile: placesFile ?? '/dev/null' }),
      roots: (slot) => bootRoots(tree, slot),
    },
    claim: async (holder, held) => (held !== null && holdsRoot(tree, held) ? null : await claimRoot(tree, holder)),
    async removeRoot() {
      for (const err of await removeRoots(tree)) log.warn({ err }, 'control group left behind');
    },
  };
}

/** The controller as the reconciler uses it; `changed` is told after each step. */
export function cgroupsPart(
  cgroups: Cgroups,
  observing: Pick<Observing, 'cgroup' | 'soon'>,
  changed: (name: string) => void,
): Part {
  return partOf<CgroupStep>(cgroups.plan, async (step, signal) => {
    try {
      await cgroups.act(step, signal);
    } finally {
      await observing.soon(() => observing.cgroup(step.name, cgroups.observeOne(step.name)));
      changed(step.name);
    }
  });
}
