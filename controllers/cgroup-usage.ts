// What a container's groups have used, in the shape of the console's `statistics`: that of cgroup v1. Where the container
// is not in a controller, or its v2 form does not tell, numbers are 0 and lists empty.
import { join } from 'node:path';
import { readControl } from './cgroup-files.ts';
import { versionOf, type ControllerName, type Hierarchies } from './cgroup-hierarchies.ts';

export type Usage = Readonly<Record<string, unknown>>;

/** `groups` as in ObservedCgroup. {} for a container that no controller accounts for. */
export function usageOf(groups: ReadonlyMap<string, string>, hierarchies: Hierarchies): Usage {
  const accounted = (['cpu', 'memory', 'blkio'] as const).some((controller) => groups.has(controller));
  if (!accounted) return {};
  const read = (controller: ControllerName) => {
    const group = groups.get(controller);
    return (file: string) => (group === undefined ? '' : (readControl(join(group, file)) ?? ''));
  };
  const memory = versionOf(hierarchies, 'memory') === 2 ? unifiedMemory : legacyMemory;
  return { blkio: blkio(read('blkio')), cpu: cpu(read('cpu')), memory: memory(read('memory')) };
}

type Read = (file: string) => string;

function cpu(read: Read): Usage {
  const stat = read('cpu.stat');
  return { stat: stat === '' ? '' : `${stat}\n` };
}

function legacyMemory(read: Read): Usage {
  const number = (file: string) => Number(read(file));
  const counters = (prefix: string) => ({
    fail_cnt: number(`${prefix}.failcnt`),
    limit_in_bytes: number(`${prefix}.limit_in_bytes`),
    max_usage_in_bytes: number(`${prefix}.max_usage_in_bytes`),
    usage_in_bytes: number(`${prefix}.usage_in_bytes`),
  });
  const oom = table(read('memory.oom_control'));
  return {
    memory: {
      ...counters('memory'),
      move_charge_at_immigrate: number('memory.move_charge_at_immigrate'),
      numa_stat: numa(read('memory.numa_stat')),
      oom_control: {
        oom_kill: oom['oom_kill'] ?? 0,
        oom_kill_disable: oom['oom_kill_disable'] === 1,
        under_oom: oom['under_oom'] === 1,
      },
      soft_limit_in_bytes: number('memory.soft_limit_in_bytes'),
      stat: memoryStat(table(read('memory.stat'))),
      swappiness: number('memory.swappiness'),
      use_hierarchy: number('memory.use_hierarchy'),
    },
    kmem: { ...counters('memory.kmem'), slabinfo: '' },
    kmem_tcp: counters('memory.kmem.tcp'),
  };
}

/** What v2 counts under another name; it has no numbers of its own for the kernel's memory. */
function unifiedMemory(read: Read): Usage {
  const number = (file: string) => (read(file) === 'max' ? Number(2n ** 63n - 4096n) : Number(read(file)));
  const events = table(read('memory.events'));
  const unused = { fail_cnt: 0, limit_in_bytes: 0, max_usage_in_bytes: 0, usage_in_bytes: 0 };
  const stat = table(read('memory.stat'));
  return {
    memory: {
      fail_cnt: events['max'] ?? 0,
      limit_in_bytes: number('memory.max'),
      max_usage_in_bytes: number('memory.peak'),
      usage_in_bytes: number('memory.current'),
      move_charge_at_immigrate: 0,
      numa_stat: numa(''),
      oom_control: { oom_kill: events['oom_kill'] ?? 0, oom_kill_disable: false, under_oom: false },
      soft_limit_in_bytes: number('memory.low'),
      stat: memoryStat({
        ...stat,
        cache: stat['file'] ?? 0,
        rss: stat['anon'] ?? 0,
        mapped_file: stat['file_mapped'] ?? 0,
      }),
      swappiness: 0,
      use_hierarchy: 1,
    },
    kmem: { ...unused, usage_in_bytes: stat['kernel'] ?? 0, slabinfo: '' },
    kmem_tcp: { ...unused, usage_in_bytes: stat['sock'] ?? 0 },
  };
}

const memoryCounters = [
  'active_anon',
  'active_file',
  'cache',
  'dirty',
  'inactive_anon',
  'inactive_file',
  'mapped_file',
  'pgfault',
  'pgmajfault',
  'pgpgin',
  'pgpgout',
  'rss',
  'rss_huge',
  'shmem',
  'swap',
  'unevictable',
  'writeback',
];

function memoryStat(raw: Readonly<Record<string, number>>): Usage {
  const names = [...memoryCounters, ...memoryCounters.map((name) => `total_${name}`)];
  const limits = ['hierarchical_memory_limit', 'hierarchical_memsw_limit'];
  return { ...Object.fromEntries([...names, ...limits].map((name) => [name, raw[name] ?? 0])), raw };
}

/** Lines `total=47 N0=40 N1=7`: pages in all and on each node. */
function numa(text: string): Usage {
  const lines = new Map(
    text.split('\n').map((line) => [line.split('=', 1)[0], line.match(/\d+(?= |$)/g)?.map(Number)]),
  );
  const kinds = ['anon', 'file', 'total', 'unevictable'];
  return Object.fromEntries<number | number[]>(
    [...kinds, ...kinds.map((kind) => `hierarchical_${kind}`)].flatMap((kind) => {
      const [pages = 0, ...nodes] = lines.get(kind) ?? [];
      return [[`${kind}_pages`, pages] as const, [`${kind}_pages_per_node`, nodes] as const];
    }),
  );
}

const blkioLists = ['io_merged', 'io_queued', 'io_service_bytes', 'io_service_time', 'io_serviced', 'io_wait_time'];
const throttleRates = ['read_bps_device', 'read_iops_device', 'write_bps_device', 'write_iops_device'];

/** Linux since 5.0 counts in the throttle files only; the schedulers that filled the others are gone. */
function blkio(read: Read): Usage {
  const empty = blkioLists.flatMap((list) => [
    [list, []],
    [`${list}_recursive`, []],
    [`${list}_total`, 0],
    [`${list}_recursive_total`, 0],
  ]);
  const throttle = ['io_service_bytes', 'io_serviced'].flatMap((file) => {
    const services = ioServices(read(`blkio.throttle.${file}`));
    const below = ioServices(read(`blkio.throttle.${file}_recursive`));
    return [
      [file, services],
      [`${file}_total`, totalOf(services)],
      [`${file}_recursive`, below],
      [`${file}_recursive_total`, totalOf(below)],
    ];
  });
  const rates = throttleRates.map((file) => [file, deviceRates(read(`blkio.throttle.${file}`))]);
  return {
    ...(Object.fromEntries(empty) as Usage),
    io_stat: [],
    leaf_weight: 0,
    leaf_weight_device: [],
    sectors: [],
    sectors_recursive: [],
    throttle: Object.fromEntries([...throttle, ...rates]) as Usage,
    time: [],
    time_recursive: [],
    weight: 0,
    weight_device: [],
  };
}

/** Lines `8:0 Read 4096`, by device. */
function ioServices(text: string): Record<string, number>[] {
  const found = [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)];
  const devices = Map.groupBy(found, ([, major, minor]) => `${major}:${minor}`);
  return [...devices.values()].map((lines) => ({
    major: Number(lines[0]?.[1]),
    minor: Number(lines[0]?.[2]),
    ...Object.fromEntries(lines.map(([, , , kind = '', value]) => [kind.toLowerCase(), Number(value)])),
  }));
}

function totalOf(services: readonly Record<string, number>[]): number {
  return services.reduce((sum, service) => sum + (service['total'] ?? 0), 0);
}

function deviceRates(text: string): Record<string, number>[] {
  const found = [...text.matchAll(/^(\d+):(\d+) (\d+)$/gm)];
  return found.map(([, major, minor, data]) => ({ major: Number(major), minor: Number(minor), data: Number(data) }));
}

/** Lines `name number`. */
function table(text: string): Record<string, number> {
  return Object.fromEntries([...text.matchAll(/^(\w+) (\d+)$/gm)].map(([, name = '', value]) => [name, Number(value)]));
}
