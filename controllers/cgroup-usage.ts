// What a container's groups have used, in the shape of the console's `statistics`.
import { join } from 'node:path';
import { readControl } from './cgroup-files.ts';
import { versionOf, type Hierarchies } from './cgroup-hierarchies.ts';

export type Usage = Readonly<Record<string, unknown>>;

/** Controllers that the container is not in are left out. */
export function usageOf(groups: ReadonlyMap<string, string>, hierarchies: Hierarchies): Usage {
  const usage: Record<string, unknown> = {};
  const cpu = groups.get('cpu');
  if (cpu !== undefined) usage['cpu'] = { stat: `${readControl(join(cpu, 'cpu.stat')) ?? ''}\n` };
  void versionOf;
  void hierarchies;
  return usage;
}
