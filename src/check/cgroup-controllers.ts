// Control groups: which version has each controller, and who asks for it.
import { versionOf, type ControllerName } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import { presence, type Feature } from './feature.ts';
import { detectHierarchies } from '../../controllers/cgroups/cgroups-observe.ts';

const controllers: readonly (readonly [ControllerName, option: string, without: string])[] = [
  ['cpu', 'CONFIG_CGROUP_SCHED, CONFIG_CFS_BANDWIDTH', 'containers with cgroups.cpu do not start'],
  ['cpuset', 'CONFIG_CPUSETS', 'containers with cgroups.cpu.cpus or mems do not start'],
  ['memory', 'CONFIG_MEMCG', 'containers with cgroups.memory do not start'],
  ['blkio', 'CONFIG_BLK_CGROUP, CONFIG_BLK_DEV_THROTTLING', 'containers with cgroups.blkio do not start'],
  ['pids', 'CONFIG_CGROUP_PIDS', 'containers with cgroups.pids do not start'],
];

export async function groupFeatures(): Promise<Feature[]> {
  const hierarchies = detectHierarchies();
  const { unified, legacy } = hierarchies;
  const found = [...(unified === null ? [] : [`v2 at ${unified}`]), ...(legacy.size === 0 ? [] : ['v1'])];
  const hasFreezer = unified !== null || legacy.has('freezer');
  return [
    {
      ...{ group: 'control groups', name: 'a hierarchy', required: false, presence: presence(found.length > 0) },
      detail: found.length > 0 ? found.join(', ') : 'nothing can be limited, counted or paused',
      enable: 'mount -t cgroup2 cgroup2 /sys/fs/cgroup',
    },
    ...controllers.map(([name, option, without]): Feature => {
      const version = versionOf(hierarchies, name);
      return {
        ...{ group: 'control groups', name, required: false, presence: presence(version !== null), enable: option },
        detail: version === null ? without : `cgroup v${version}`,
      };
    }),
    {
      ...{ group: 'control groups', name: 'freezing', required: false, presence: presence(hasFreezer) },
      detail: hasFreezer ? `cgroup v${unified === null ? 1 : 2}` : 'northstate pause does not work',
      enable: 'a cgroup v2 tree, or CONFIG_CGROUP_FREEZER',
    },
  ];
}
