// What is to be done to the control groups of a container name. Pure. A group and its leaf are made with a sandbox.
import type { Cgroups } from '../../state/schema/manifest.ts';
import type { ObservedCgroup } from '../../state/observed.ts';
import { hasEnded } from '../../state/ended-run.ts';
import { kernelList } from '../../state/schema/number-list.ts';
import { overdueAt } from '../containers/end-bound.ts';
import type { Step, Target, View } from '../controller.ts';
import type { Hierarchies } from './cgroup-hierarchies.ts';
import { TerminalError } from '../failure.ts';
import { controllersOf, limitsOf, summaryOf, withDefaults } from './cgroup-limits.ts';

/** Changes the limits of what runs. Those of what is about to start come with its start. */
export interface LimitStep extends Step {
  readonly op: 'limit';
  readonly section: Cgroups | null;
}

/** Stops every process of a running attempt where it is; `pid` is its init's. */
export interface FreezeStep extends Step {
  readonly op: 'freeze';
  readonly attempt: number;
  readonly pid: number;
}

export interface ThawStep extends Step {
  readonly op: 'thaw';
  readonly attempt: number;
}

/** Ends what a kill has not ended; `pid` is that of its init. */
export interface EndLeafStep extends Step {
  readonly op: 'end-leaf';
  readonly attempt: number;
  readonly pid: number;
}

export interface RemoveLeafStep extends Step {
  readonly op: 'remove-leaf';
  readonly attempt: number;
}

/** Takes the leaves of attempts that have ended along. */
export interface RemoveGroupStep extends Step {
  readonly op: 'remove-group';
  readonly leaves: readonly number[];
}

export type CgroupStep = LimitStep | FreezeStep | ThawStep | EndLeafStep | RemoveLeafStep | RemoveGroupStep;

export function planCgroups(view: View, hierarchies: Hierarchies): CgroupStep[] {
  const freezing = [...freezer(view), ...overdue(view)];
  if (view.cgroup === null) return freezing;
  const live = new Set(
    view.attempts.filter(({ state }) => state !== 'exited' && state !== 'failed').map(({ id }) => id),
  );
  const dead = view.cgroup.leaves.filter((id) => !live.has(id));
  const steps: CgroupStep[] = [...freezing, ...limit(view, hierarchies)];
  if (live.size === 0 && !isNeeded(view))
    return [...steps, { op: 'remove-group', name: view.name, leaves: dead, waits: null }];
  const leaves = dead.map((attempt) => ({ op: 'remove-leaf' as const, name: view.name, attempt, waits: null }));
  return [...steps, ...leaves];
}

/** The section that holds for a target: the entry's replaces the manifest's. */
export function sectionOf({ entry, package: found }: Target): Cgroups | null {
  return entry.cgroups ?? found?.manifest.cgroups ?? null;
}

/** The parent that a section asks for, in one spelling; null is our root. */
export function parentOf(section: Cgroups | null): string | null {
  const steps = (section?.parent ?? '').split('/').filter((step) => step !== '' && step !== '.');
  return steps.length === 0 ? null : steps.join('/');
}

/** Nothing runs in the name's group, which is where another `parent` has had it made: before anything starts it goes. */
export function isMisplaced({ cgroup, attempts }: View, target: Target): boolean {
  if (cgroup === null || cgroup.place === parentOf(sectionOf(target))) return false;
  return !attempts.some(({ state }) => state === 'running');
}

function limit(view: View, hierarchies: Hierarchies): LimitStep[] {
  const target = view.targets.find(({ entry }) => entry.state === 'running');
  if (target === undefined || target.package === null || view.stopping) return [];
  const runs = view.attempts.some(
    ({ state, version, record }) =>
      state === 'running' && version === target.version && record.entry === target.replacing && record.stop === null,
  );
  if (!runs) return [];
  const section = withDefaults(sectionOf(target), hierarchies);
  const present = view.cgroup?.groups ?? new Map<string, string>();
  const missing = [...controllersOf(section)].some((name) => hierarchies.legacy.has(name) && !present.has(name));
  const asShown = view.cgroup?.limits === summaryOfSection(section, hierarchies) && hasOwn(view.cgroup, section);
  if (!missing && asShown) return [];
  return [{ op: 'limit', name: view.name, section, waits: null }];
}

/** Whether every leaf has the processors and memory nodes that the section asks for, else all that the group has. */
function hasOwn({ own }: ObservedCgroup, section: Cgroups | null): boolean {
  const wanted = ownAsAsked(own, section);
  return [...own].every(([file, { leaves }]) => leaves.every((leaf) => leaf === wanted.get(file)?.leaves[0]));
}

/** What the leaves show once a section's processors and memory nodes were written to them. */
export function ownAsAsked(own: ObservedCgroup['own'], section: Cgroups | null): ObservedCgroup['own'] {
  const asked = { 'cpuset.cpus': section?.cpu?.cpus, 'cpuset.mems': section?.cpu?.mems };
  return new Map(
    [...own].map(([file, { group }]) => {
      const set = asked[file];
      return [file, { group, leaves: [set === undefined ? group : kernelList(set)] }];
    }),
  );
}

/** One that is told to end must be able to: it is thawed as soon as its signal is on its way. */
function freezer({ name, targets, attempts, cgroup, stopping }: View): CgroupStep[] {
  const target = targets.find(({ entry }) => entry.state === 'running');
  const paused = target?.entry.paused === true && !stopping;
  return attempts
    .filter(({ state }) => state === 'running')
    .flatMap(({ id, pid, version, record }): CgroupStep[] => {
      const now = cgroup?.frozen.get(id);
      const wanted = paused && version === target.version && record.stop === null;
      if (wanted) return now === 'frozen' ? [] : [{ op: 'freeze', name, attempt: id, pid, waits: null }];
      return now === undefined ? [] : [{ op: 'thaw', name, attempt: id, waits: null }];
    });
}

function overdue({ name, now, attempts }: View): EndLeafStep[] {
  return attempts
    .filter((attempt) => now >= (overdueAt(attempt) ?? Infinity))
    .map(({ id, pid }) => ({ op: 'end-leaf', name, attempt: id, pid, waits: null }));
}

/** Of the sections that limit processes and nothing else, as nearly all do. */
const plainSummaries = new WeakMap<Hierarchies, Map<number | undefined, string | null>>();

/** Null when the host cannot do it: the act says why. */
function summaryOfSection(section: Cgroups | null, hierarchies: Hierarchies): string | null {
  if (section !== null && Object.keys(section).some((key) => key !== 'pids')) return summaryAnew(section, hierarchies);
  const known = plainSummaries.get(hierarchies) ?? new Map<number | undefined, string | null>();
  plainSummaries.set(hierarchies, known);
  const most = section?.pids?.max;
  if (!known.has(most)) known.set(most, summaryAnew(section, hierarchies));
  return known.get(most) ?? null;
}

function summaryAnew(section: Cgroups | null, hierarchies: Hierarchies): string | null {
  try {
    return summaryOf(limitsOf(section, hierarchies).limits);
  } catch (error) {
    if (error instanceof TerminalError) return null;
    throw error;
  }
}

/** The group stays between two starts, and with it the statistics; it goes with the end that nothing answers. */
function isNeeded(view: View): boolean {
  if (view.stopping) return false;
  const prepared = ({ entry }: Target): boolean => entry.state === 'mounted' && entry.prepare === true;
  const target = view.targets.find(({ entry }) => entry.state === 'running') ?? view.targets.find(prepared);
  if (target === undefined || isMisplaced(view, target)) return false;
  return target.entry.state !== 'running' || !hasEnded(target.entry, view);
}

/** What a group shows once the limits of a section were written to it. */
export function limited(
  { name, own }: Pick<ObservedCgroup, 'name' | 'own'>,
  section: Cgroups | null,
  hierarchies: Hierarchies,
): Pick<ObservedCgroup, 'groups' | 'limits' | 'own'> {
  const whole = withDefaults(section, hierarchies);
  const controllers = [...controllersOf(whole)].filter((controller) => hierarchies.legacy.has(controller));
  const groups = new Map(controllers.map((controller) => [controller as string, `${controller}/${name}`]));
  return { groups, limits: summaryOf(limitsOf(whole, hierarchies).limits), own: ownAsAsked(own, section) };
}
