// Which control group hierarchies the host really offers (cgroups(7)): each controller sits in a v1 hierarchy of its own or in the v2 tree.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readMountTable, type TableEntry } from '../../native/mounts-table.ts';
import { pageSize } from '../../native/page-size.ts';

/** The controllers that are used, by their v1 names; v2 calls blkio io, has no cpuacct, and freezes without a controller. */
export const controllerNames = ['cpu', 'cpuacct', 'cpuset', 'memory', 'blkio', 'pids', 'freezer'] as const;
export type ControllerName = (typeof controllerNames)[number];

export interface Hierarchies {
  /** v1 controller -> mount point. Several may share one. */
  readonly legacy: ReadonlyMap<ControllerName, string>;
  /** Mount points of the v1 hierarchies in which no controller is that is used: named ones, devices, ... */
  readonly others: readonly string[];
  /** Mount point of the v2 tree, null when there is none. */
  readonly unified: string | null;
  /** Controllers that the v2 tree has, by their v1 names. */
  readonly unifiedControllers: ReadonlySet<ControllerName>;
  /** memory.swappiness of v1 that a new group takes over; the kernel's own where it was not looked at. */
  readonly swappiness: string;
  /** Bytes; limits of memory are rounded down to whole pages. */
  readonly pageSize: number;
  /** Processes and threads of a container that names no limit; null = the kernel's only, as on a host without the controller. */
  readonly mostProcesses: number | null;
}

/** Reads the mount table and the controllers of the v2 tree. A v2 tree whose file cannot be read counts as having none. */
export async function detectHierarchies(mostProcesses: number | null = null): Promise<Hierarchies> {
  const table = await readMountTable();
  const unified = unifiedMount(table);
  const controllers = unified === null ? '' : await readFile(join(unified, 'cgroup.controllers'), 'utf8');
  const host = hierarchiesOf(table, controllers, pageSize());
  const found = versionOf(host, 'pids') === null ? host : { ...host, mostProcesses };
  const memory = found.legacy.get('memory');
  if (memory === undefined) return found;
  return { ...found, swappiness: (await readFile(join(memory, 'memory.swappiness'), 'utf8')).trim() };
}

/** Which version a controller has: that of the hierarchy it sits in, null = the host does not offer it. */
export function versionOf({ legacy, unifiedControllers }: Hierarchies, controller: ControllerName): 1 | 2 | null {
  if (legacy.has(controller)) return 1;
  return unifiedControllers.has(controller) ? 2 : null;
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

/** What v2 calls a controller. */
export function unifiedName(controller: ControllerName): string {
  return controller === 'blkio' ? 'io' : controller;
}

function unifiedMount(table: readonly TableEntry[]): string | null {
  return table.find(({ type }) => type === 'cgroup2')?.target ?? null;
}
