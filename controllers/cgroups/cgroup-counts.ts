// The few numbers of a container's groups that are measured over time: five files, where `statistics` reads all that there is.
import { join } from 'node:path';
import { readControl } from './cgroup-files.ts';
import { versionOf, type ControllerName, type Hierarchies } from './cgroup-hierarchies.ts';
import { deviceServices, deviceValues, namedNumbers } from './cgroup-text.ts';

/** Null where the container is in no group that counts it. */
export interface Counts {
  readonly cpuSeconds: number | null;
  /** Page cache included. */
  readonly memoryBytes: number | null;
  /** Null where there is none. */
  readonly memoryLimit: number | null;
  readonly oomKills: number | null;
  /** From and to block devices. */
  readonly readBytes: number | null;
  readonly writtenBytes: number | null;
}

/** Beyond it a limit of cgroup v1 stands for none. */
const noLimit = 2 ** 62;

/** `groups` as in ObservedCgroup. */
export function countsOf(groups: ReadonlyMap<string, string>, hierarchies: Hierarchies): Counts {
  const read = (controller: ControllerName, legacy: string, unified: string): string | null => {
    const group = groups.get(controller);
    if (group === undefined) return null;
    return readControl(join(group, versionOf(hierarchies, controller) === 2 ? unified : legacy));
  };
  const kills = read('memory', 'memory.oom_control', 'memory.events');
  return {
    cpuSeconds: cpuSeconds(groups, hierarchies),
    memoryBytes: numberIn(read('memory', 'memory.usage_in_bytes', 'memory.current')),
    memoryLimit: numberIn(read('memory', 'memory.limit_in_bytes', 'memory.max')),
    oomKills: kills === null ? null : (namedNumbers(kills)['oom_kill'] ?? null),
    ...blockBytes(read('blkio', 'blkio.throttle.io_service_bytes_recursive', 'io.stat'), hierarchies),
  };
}

/** v1 counts in a controller of its own, in nanoseconds; a v2 group counts whether the controller is there or not. */
function cpuSeconds(groups: ReadonlyMap<string, string>, hierarchies: Hierarchies): number | null {
  const legacy = groups.get('cpuacct');
  if (legacy !== undefined && versionOf(hierarchies, 'cpu') !== 2) {
    const nanoseconds = numberIn(readControl(join(legacy, 'cpuacct.usage')));
    return nanoseconds === null ? null : nanoseconds / 1e9;
  }
  const unified = groups.get('unified');
  const stat = unified === undefined ? null : readControl(join(unified, 'cpu.stat'));
  const microseconds = stat === null ? undefined : namedNumbers(stat)['usage_usec'];
  return microseconds === undefined ? null : microseconds / 1e6;
}

/** `max` and the largest number that v1 has are none. */
function numberIn(text: string | null): number | null {
  const value = text === null || text === '' ? NaN : Number(text);
  return Number.isFinite(value) && value < noLimit ? value : null;
}

function blockBytes(text: string | null, hierarchies: Hierarchies): Pick<Counts, 'readBytes' | 'writtenBytes'> {
  if (text === null) return { readBytes: null, writtenBytes: null };
  const isUnified = versionOf(hierarchies, 'blkio') === 2;
  const total = (name: string): number =>
    isUnified
      ? deviceValues(text).reduce((sum, { values }) => sum + (values[name] ?? 0), 0)
      : deviceServices(text).reduce((sum, service) => sum + (service[name] ?? 0), 0);
  return isUnified
    ? { readBytes: total('rbytes'), writtenBytes: total('wbytes') }
    : { readBytes: total('read'), writtenBytes: total('write') };
}
