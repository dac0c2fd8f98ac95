// What is there of control groups: which hierarchies the host offers, and the groups of ours in them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMountTable, type TableEntry } from '../../native/mounts-table.ts';
import { pageSize } from '../../native/page-size.ts';
import {
  controllerNames,
  versionOf,
  unifiedName,
  type ControllerName,
  type Hierarchies,
} from './cgroup-hierarchies.ts';
import type { ObservedCgroup } from '../../state/observed.ts';
import { branchesWith, groupsIn, leavesIn, namesIn, type Branch, type Tree } from './cgroup-groups.ts';
import type { Limit } from './cgroup-limit.ts';
import { shownLimits } from './cgroup-writes.ts';
import { freezerOf, frozenLeaves } from './cgroup-freeze.ts';
import { ownOf } from './cgroup-leaf.ts';

/** Reads the mount table and the controllers of the v2 tree. A v2 tree whose file cannot be read counts as having none. */
export function detectHierarchies(mostProcesses: number | null = null): Hierarchies {
  const table = readMountTable();
  const unified = unifiedMount(table);
  const controllers = unified === null ? '' : readFileSync(join(unified, 'cgroup.controllers'), 'utf8');
  const host = hierarchiesOf(table, controllers, pageSize());
  const found = versionOf(host, 'pids') === null ? host : { ...host, mostProcesses };
  const memory = found.legacy.get('memory');
  if (memory === undefined) return found;
  return { ...found, swappiness: readFileSync(join(memory, 'memory.swappiness'), 'utf8').trim() };
}

/** The same from the table and the text of cgroup.controllers. Pure. */
export function hierarchiesOf(table: readonly TableEntry[], controllers: string, page: number): Hierarchies {
  const legacy = new Map<ControllerName, string>();
  const others: string[] = [];
  for (const { type, options, target } of table) {
    if (type !== 'cgroup') continue;
    const used = controllerNames.filter((name) => options.includes(name));
    for (const name of used) if (!legacy.has(name)) legacy.set(name, target);
    if (used.length === 0) others.push(target);
  }
  const offered = new Set(controllers.trim().split(/\s+/));
  const unifiedControllers = new Set(controllerNames.filter((name) => offered.has(unifiedName(name))));
  return {
    legacy,
    others,
    unified: unifiedMount(table),
    unifiedControllers,
    swappiness: '60',
    pageSize: page,
    mostProcesses: null,
  };
}

function unifiedMount(table: readonly TableEntry[]): string | null {
  return table.find(({ type }) => type === 'cgroup2')?.target ?? null;
}

/** The groups of every name that has any, and which limits their files show. `initially`: the limits of a new group. */
export function observeGroups(tree: Tree, initially: readonly Limit[]): Map<string, ObservedCgroup> {
  const freezer = freezerOf(tree);
  const observed = [...namesIn(tree)].map(([name, branches]) => describe(tree, freezer, name, branches, initially));
  return new Map(observed.flatMap((group) => (group === null ? [] : [[group.name, group]])));
}

/** The same of one name; null = it has no group. */
export function observeGroup(tree: Tree, name: string, initially: readonly Limit[]): ObservedCgroup | null {
  return describe(tree, freezerOf(tree), name, branchesWith(tree, name), initially);
}

function describe(
  { places }: Tree,
  freezer: Branch | null,
  name: string,
  branches: readonly Branch[],
  initially: readonly Limit[],
): ObservedCgroup | null {
  if (branches.length === 0) return null;
  const groups = groupsIn(branches, name);
  const leaves = leavesIn(branches, name);
  return {
    name,
    groups,
    place: places.of(name),
    leaves,
    limits: shownLimits(initially, groups),
    own: ownOf(branches, name, leaves),
    frozen: frozenLeaves(freezer, name, leaves),
  };
}
