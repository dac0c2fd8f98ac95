// Which control group hierarchies the host really offers (cgroups(7)): each controller sits in a v1 hierarchy of its own or in the v2 tree.

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

/** Which version a controller has: that of the hierarchy it sits in, null = the host does not offer it. */
export function versionOf({ legacy, unifiedControllers }: Hierarchies, controller: ControllerName): 1 | 2 | null {
  if (legacy.has(controller)) return 1;
  return unifiedControllers.has(controller) ? 2 : null;
}

/** What v2 calls a controller. */
export function unifiedName(controller: ControllerName): string {
  return controller === 'blkio' ? 'io' : controller;
}
