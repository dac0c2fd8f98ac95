// What the planners look at, for one name at a time, and which names a change of the state concerns. Kept up to date from
// patches, so that the work is bounded by what changed and not by how many containers there are.
import type { Operation } from 'fast-json-patch';
import type { Observed, ObservedPackage } from '../../state/observed.ts';
import { contentHash, type ContainerEntry } from '../../state/desired.ts';
import { brokenFilesOf } from '../../state/broken-files.ts';
import { parsePointer } from '../../state/text/pointer.ts';
import { emptyState, type Locked, type State } from '../../state/store.ts';
import type { Target, View } from '../controller.ts';
import { gatesOf, partnersOf } from './dependencies.ts';
import { footprintOf, noFootprint, type Footprint } from './footprint.ts';
import { byVersion, dataTrial, isHolding, passesLocks, resourceMounts, touchesTrial } from './view-parts.ts';
import { createRelation } from './relation.ts';
import { askedOf } from './asked-runs.ts';
import { wallTime } from '../../state/schedule.ts';
import { resolve, staying } from './resolve.ts';
import { stagedNames, stagedTargets } from './staged-targets.ts';
import { isQuarantined } from '../../state/trial/quarantine.ts';
import { containerName } from '../../state/container-id.ts';

/** What a change of the state means. */
export interface Consequences {
  /** Names whose plan may be another one now. */
  readonly affected: Set<string>;
  /** Those of which an entry or a package changed: what could not be mended before may be mended now. */
  readonly afresh: Set<string>;
  /** What the resolution wants locked, by entry key. */
  readonly locks: Map<string, Locked>;
}

export interface Model {
  /** Takes over a state. `operations` lead to it from the one before; null = look at everything. */
  update(state: State, operations: readonly Operation[] | null): Consequences;
  view(name: string, now: number): View;
  /** What a failure of this name that no retry mends stands on, the same in every process: its entries, its packages, their lock. */
  basis(name: string): string;
  /** Every name that the document mentions or that anything is observed of. */
  names(): Set<string>;
  /**
   * A start of this name is under way, and counts among what stands on its dependencies, until the function that it gives is called.
   * That gives the dependencies, whose plans may be other ones then.
   */
  begin(name: string): () => readonly string[];
  /** From now on nothing is wanted any more. */
  stop(): Consequences;
  /** Packages that autostart is to start and that have no attempt yet; null while there is a repository that was never read. */
  autostartPending(): string[] | null;
  /** Ends the judging of autostart: only what it has started stays wanted. */
  autostartDone(): Consequences;
}

const perName = [
  'packages',
  'mounts',
  'cgroups',
  'attempts',
  'ran',
  'schedules',
  'kept',
] as const satisfies (keyof Observed)[];

/** `autostart`: whether the packages that start by themselves have still to be judged since the launcher was started. */
export function createModel({ autostart }: { autostart: boolean }): Model {
  let state = emptyState();
  let stopping = false;
  /** Frozen when everything is first seen: what is installed later does not start by itself. */
  let starting: Set<string> | null = autostart ? null : new Set();
  /** Repositories that could not be read then: what they turn out to hold is first seen when they can be. */
  let unseen = new Set<string>();
  const keys = createRelation();
  const users = createRelation();
  const dependents = createRelation();
  const targets = new Map<string, readonly Target[]>();
  const footprints = new Map<string, Footprint>();
  /** Starts that are under way: what each depends on. Nothing is observed of one until the launcher has said that it runs. */
  const beginning = new Map<string, readonly string[]>();
  /** Names of which a package is not there. */
  const lacking = new Set<string>();
  let mountOnStart = new Set<string>();

  function update(next: State, operations: readonly Operation[] | null): Consequences {
    const before = state;
    state = next;
    if (operations === null && starting === null) {
      unseen = new Set([...next.observed.repositories.values()].filter(({ stale }) => stale).map(({ id }) => id));
      starting = new Set(startingOf(next, () => true));
    } else if (unseen.size > 0) seeMore(next);
    const touched = new Map<string, boolean>();
    for (const path of operations?.map(({ path: pointer }) => parsePointer(pointer)) ?? [[]])
      touch(path, before, touched);
    return refreshAll(touched);
  }

  function seeMore({ observed }: State): void {
    for (const name of startingOf({ observed }, ({ repository }) => unseen.has(repository))) starting?.add(name);
    for (const id of unseen) if (observed.repositories.get(id)?.stale !== true) unseen.delete(id);
  }

  /** Notes the names that a changed path concerns directly; true = the change is one of an entry or a package. */
  function touch([top, part, key]: readonly string[], before: State, touched: Map<string, boolean>): void {
    if (top === undefined || top === 'desired') touchDesired(part, key, before, touched);
    if (top === undefined || top === 'observed') {
      for (const each of perName) {
        if (part !== undefined && part !== each) continue;
        const names = key === undefined ? differing<unknown>(before.observed[each], state.observed[each]) : [key];
        for (const name of names) mark(touched, name, each === 'packages');
      }
    }
    // Why a package is missing may stand there.
    if (top === 'observed' && part === 'repositories') for (const name of lacking) mark(touched, name, false);
    // Another time of day is another time to start.
    if (top === 'clock')
      for (const { name, schedule } of state.desired.containers.values())
        if (schedule !== null) mark(touched, name, false);
    if (top === undefined || top === 'orders')
      for (const name of part === undefined ? differing(before.orders, state.orders) : [part])
        mark(touched, name, true);
    if (top === undefined || top === 'ahead')
      for (const name of part === undefined ? differing(before.ahead, state.ahead) : [part]) mark(touched, name, false);
    if (touchesTrial(top, before, state)) for (const name of names()) mark(touched, name, true);
    if (top === undefined || top === 'lock') {
      const locked = part === undefined ? differing(before.lock, state.lock) : [part];
      for (const each of locked) for (const name of keys.of(each)) mark(touched, name, true);
    }
  }

  function passedOver(found: ObservedPackage): boolean {
    return state.quarantine.length > 0 && isQuarantined(state.quarantine, found);
  }

  function touchDesired(
    part: string | undefined,
    key: string | undefined,
    before: State,
    touched: Map<string, boolean>,
  ) {
    if (part === undefined || part === 'containers') {
      const { containers } = state.desired;
      for (const each of key === undefined ? differing(before.desired.containers, containers) : [key]) {
        const old = before.desired.containers.get(each);
        const entry = containers.get(each);
        // A document that was read anew has other objects for the same entries.
        if (key === undefined && old !== undefined && old.generation === entry?.generation) continue;
        if (old !== undefined) mark(touched, old.name, true);
        if (entry !== undefined) mark(touched, entry.name, true);
        keys.set(each, entry === undefined ? [] : [entry.name]);
      }
    }
    if (part === 'autostart' || part === 'repositories' || part === undefined) {
      const on = [...state.desired.repositories.values()].filter((each) => each.mountOnStart).map(({ id }) => id);
      const changed = on.length !== mountOnStart.size || on.some((id) => !mountOnStart.has(id));
      mountOnStart = new Set(on);
      const implied = changed || before.desired.autostart !== state.desired.autostart;
      for (const [name, all] of footprints) if (implied || all.lacking) mark(touched, name, true);
    }
  }

  function refreshAll(touched: ReadonlyMap<string, boolean>): Consequences {
    const change: Consequences = { affected: new Set(touched.keys()), afresh: new Set(), locks: new Map() };
    for (const [name, afresh] of touched) {
      if (afresh) change.afresh.add(name);
      // Other names' targets name its packages as resources, and wait for its mounts.
      for (const user of [...users.withValue(name)]) {
        if (afresh) refresh(user, change);
        else change.affected.add(user);
      }
      refresh(name, change);
    }
    return change;
  }

  /** Resolves a name anew, and tells those whom the difference concerns. */
  function refresh(name: string, change: Consequences): void {
    const { observed, lock, desired } = state;
    const attempts = observed.attempts.get(name) ?? [];
    const judging = starting === null || starting.has(name) ? 'all' : 'started';
    const resolved = resolve({
      name,
      entries: askedOf({
        entries: entriesOf(name),
        packages: observed.packages.get(name) ?? [],
        attempts,
        schedule: observed.schedules.get(name) ?? null,
        order: state.orders.get(name) ?? null,
      }),
      packages: observed.packages.get(name) ?? [],
      attempts,
      lock,
      repositories: new Set(desired.repositories.keys()),
      mountOnStart,
      autostart: desired.autostart === 'ignore' ? 'none' : judging,
      passedOver,
      holding: isHolding(state),
      packagesOf: (other) => staying(observed.packages.get(other) ?? [], entriesOf(other), lock),
    });
    if (resolved.targets.length === 0) targets.delete(name);
    else targets.set(name, resolved.targets);
    for (const [key, locked] of resolved.locks) change.locks.set(key, locked);
    change.affected.add(name);
    const remembered = { attempts, ran: observed.ran.get(name) ?? null };
    tell(name, footprintOf(resolved.targets, remembered, stopping), change);
  }

  function tell(name: string, next: Footprint, { affected }: Consequences): void {
    const old = footprints.get(name) ?? noFootprint;
    footprints.set(name, next);
    if (next.lacking) lacking.add(name);
    else lacking.delete(name);
    users.set(name, next.resources);
    dependents.set(name, next.dependsOn);
    const [before, after] = [old, next].map((each) => [...each.wants, ...each.uses, ...each.used]) as [
      string[],
      string[],
    ];
    if (!same(old.wants, next.wants) || !same(old.uses, next.uses) || !same(old.used, next.used)) {
      for (const id of [...before, ...after]) affected.add(containerName(id));
    }
    const moves = (['up', 'readyAt', 'succeeded', 'lastRun', 'leaving'] as const).some((key) => old[key] !== next[key]);
    if (moves || !same(old.dependsOn, next.dependsOn)) {
      for (const each of [...old.dependsOn, ...next.dependsOn, ...dependents.withValue(name)]) affected.add(each);
    }
  }

  function entriesOf(name: string): readonly ContainerEntry[] {
    // In one order, whatever came first: a reconciler that starts again says the same.
    return [...keys.withValue(name)].sort().flatMap((key) => state.desired.containers.get(key) ?? []);
  }

  function footprint(name: string): Footprint {
    return footprints.get(name) ?? noFootprint;
  }

  function view(name: string, now: number): View {
    const { observed } = state;
    const own = targets.get(name) ?? [];
    const wanted = own.find(({ entry }) => entry.state === 'running');
    const around = [...users.withValue(name)];
    const gates = gatesOf(wanted?.entry, footprint, now);
    return {
      name,
      stopping,
      targets: own,
      staged: stagedTargets(state, name),
      holding: isHolding(state),
      packages: observed.packages.get(name) ?? [],
      brokenFiles: lacking.has(name) ? brokenFilesOf(name, observed.repositories.values()) : [],
      mounts: observed.mounts.get(name) ?? [],
      cgroup: observed.cgroups.get(name) ?? null,
      attempts: observed.attempts.get(name) ?? [],
      ran: observed.ran.get(name) ?? null,
      mountsWanted: byVersion(name, around, (user) => footprint(user).wants),
      usedBy: byVersion(name, around, (user) => footprint(user).uses),
      wasUsedBy: byVersion(name, around, (user) => footprint(user).used),
      resourceMounts: resourceMounts(observed, name, own),
      dependenciesDown: gates.down,
      opensAt: gates.opensAt,
      partners: partnersOf(wanted?.entry, footprint),
      kept: observed.kept.get(name) ?? null,
      dataTrial: state.trial === null ? null : dataTrial(state.trial, name, entriesOf(name)),
      passesLocks: passesLocks(state, own),
      dependentsUp: dependentsUp(name),
      ahead: state.ahead.get(name) ?? null,
      schedule: observed.schedules.get(name) ?? null,
      boot: state.clock.boot,
      wall: wallTime(now, state.clock.distance),
      now,
    };
  }

  function dependentsUp(name: string): readonly string[] {
    const up = [...dependents.withValue(name)].filter((each) => footprints.get(each)?.leaving === true);
    if (beginning.size === 0) return up;
    const begun = [...beginning].flatMap(([each, on]) => (on.includes(name) && !isWanted(each) ? [each] : []));
    return [...new Set([...up, ...begun])];
  }

  function isWanted(name: string): boolean {
    return !stopping && targets.get(name)?.some(({ entry }) => entry.state === 'running') === true;
  }

  function basis(name: string): string {
    const { observed, lock, desired } = state;
    const { repositories, autostart, containers } = desired;
    const own = [...keys.withValue(name)].toSorted();
    const entries = own.map((key) => [containers.get(key) ?? key, lock.get(key) ?? null]);
    const packages = observed.packages.get(name)?.map(({ path, identity, digest }) => [path, identity, digest]) ?? [];
    return contentHash({ entries, packages, repositories, autostart });
  }

  function names(): Set<string> {
    const found = new Set([...state.desired.containers.values()].map(({ name }) => name));
    for (const each of perName) for (const name of state.observed[each].keys()) found.add(name);
    for (const name of stagedNames(state)) found.add(name);
    return found;
  }

  return {
    update,
    view,
    basis,
    names,
    begin(name) {
      const on = footprint(name).dependsOn;
      if (on.length > 0) beginning.set(name, on);
      return () => (beginning.delete(name) ? on : []);
    },
    stop() {
      stopping = true;
      return refreshAll(new Map([...names()].map((name) => [name, false])));
    },
    autostartPending: () =>
      unseen.size > 0
        ? null
        : [...(starting ?? [])].filter(
            (name) =>
              targets.get(name)?.some((target) => target.autostart !== null) === true &&
              !state.observed.attempts.has(name),
          ),
    autostartDone() {
      const judged = new Map([...(starting ?? [])].map((name) => [name, false]));
      starting = new Set();
      return refreshAll(judged);
    },
  };
}

/** Names of which one of these packages starts by itself. */
function startingOf({ observed }: Pick<State, 'observed'>, counts: (found: ObservedPackage) => boolean): string[] {
  const starts = (found: ObservedPackage) => found.manifest.autostart !== undefined && counts(found);
  return [...observed.packages].filter(([, all]) => all.some(starts)).map(([name]) => name);
}

function mark(touched: Map<string, boolean>, name: string, afresh: boolean): void {
  touched.set(name, afresh || touched.get(name) === true);
}

/** Keys whose values are not the same object in both maps. */
function differing<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>): string[] {
  const added = [...b.keys()].filter((key) => a.get(key) !== b.get(key));
  return [...added, ...[...a.keys()].filter((key) => !b.has(key))];
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index]);
}
