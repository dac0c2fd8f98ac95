// What a container's groups have used, in the shape of the console's `statistics`: that of cgroup v1. Where the container
// is not in a controller, or its v2 form does not tell, numbers are 0 and lists empty.
import { join } from 'node:path';
import { readControl } from './cgroup-files.ts';
import { legacyBlkio, unifiedBlkio } from './cgroup-usage-blkio.ts';
import { versionOf, type ControllerName, type Hierarchies } from './cgroup-hierarchies.ts';
import { namedNumbers, type ReadFile } from './cgroup-text.ts';

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
  const blkio = versionOf(hierarchies, 'blkio') === 2 ? unifiedBlkio : legacyBlkio;
  return { blkio: blkio(read('blkio')), cpu: cpu(read('cpu')), memory: memory(read('memory')) };
}

/** The file as it is; what v2 counts in microseconds stands in it as v1 has it, too. */
function cpu(read: ReadFile): Usage {
  const stat = read('cpu.stat');
  if (stat === '') return { stat };
  const times = namedNumbers(stat);
  const inNanoseconds = ['throttled', 'burst'].flatMap((name) => {
    const usec = times[`${name}_usec`];
    return usec === undefined ? [] : [`${name}_time ${usec * 1000}\n`];
  });
  return { stat: `${stat}\n${inNanoseconds.join('')}` };
}

function legacyMemory(read: ReadFile): Usage {
  const number = (file: string) => Number(read(file));
  const counters = (prefix: string) => ({
    fail_cnt: number(`${prefix}.failcnt`),
    limit_in_bytes: number(`${prefix}.limit_in_bytes`),
    max_usage_in_bytes: number(`${prefix}.max_usage_in_bytes`),
    usage_in_bytes: number(`${prefix}.usage_in_bytes`),
  });
  const oom = namedNumbers(read('memory.oom_control'));
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
      stat: memoryStat(namedNumbers(read('memory.stat'))),
      swappiness: number('memory.swappiness'),
      use_hierarchy: number('memory.use_hierarchy'),
    },
    kmem: { ...counters('memory.kmem'), slabinfo: '' },
    kmem_tcp: counters('memory.kmem.tcp'),
  };
}

/** The largest number of whole pages, which v1 shows where there is no limit. */
const unlimited = Number(2n ** 63n - 4096n);

/** What v2 counts under another name; it has no limits of its own for the kernel's memory. */
function unifiedMemory(read: ReadFile): Usage {
  const number = (file: string) => (read(file) === 'max' ? unlimited : Number(read(file)));
  const events = namedNumbers(read('memory.events'));
  const unused = { fail_cnt: 0, limit_in_bytes: unlimited, max_usage_in_bytes: 0, usage_in_bytes: 0 };
  const stat = namedNumbers(read('memory.stat'));
  const own = {
    ...stat,
    cache: stat['file'] ?? 0,
    dirty: stat['file_dirty'] ?? 0,
    mapped_file: stat['file_mapped'] ?? 0,
    rss: stat['anon'] ?? 0,
    rss_huge: stat['anon_thp'] ?? 0,
    swap: Number(read('memory.swap.current')),
    writeback: stat['file_writeback'] ?? 0,
  };
  // What a v2 group counts is always that of the groups below it, too.
  const total = Object.fromEntries(Object.entries(own).map(([name, value]) => [`total_${name}`, value]));
  const limits = {
    hierarchical_memory_limit: number('memory.max'),
    hierarchical_memsw_limit: Math.min(unlimited, number('memory.max') + number('memory.swap.max')),
  };
  return {
    memory: {
      fail_cnt: events['max'] ?? 0,
      limit_in_bytes: number('memory.max'),
      max_usage_in_bytes: number('memory.peak'),
      usage_in_bytes: number('memory.current'),
      move_charge_at_immigrate: 0,
      numa_stat: unifiedNuma(read('memory.numa_stat')),
      oom_control: { oom_kill: events['oom_kill'] ?? 0, oom_kill_disable: false, under_oom: false },
      soft_limit_in_bytes: number('memory.low'),
      stat: memoryStat({ ...own, ...total, ...limits }, stat),
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

/** `raw` is what the kernel said. */
function memoryStat(found: Readonly<Record<string, number>>, raw = found): Usage {
  const names = [...memoryCounters, ...memoryCounters.map((name) => `total_${name}`)];
  const limits = ['hierarchical_memory_limit', 'hierarchical_memsw_limit'];
  return { ...Object.fromEntries([...names, ...limits].map((name) => [name, found[name] ?? 0])), raw };
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

/** Lines `anon N0=4096 N1=0` of v2: bytes on each node, which become pages as v1 counts them. */
function unifiedNuma(text: string): Usage {
  const bytes = new Map(
    [...text.matchAll(/^(\w+) (N.*)$/gm)].map(([, kind = '', nodes = '']) => [
      kind,
      [...nodes.matchAll(/=(\d+)/g)].map(([, value]) => Number(value) / 4096),
    ]),
  );
  const found = ['anon', 'file', 'unevictable'].map((kind) => [kind, bytes.get(kind) ?? []] as const);
  const nodes = found[0]?.[1].map((_, node) => found.reduce((sum, [, pages]) => sum + (pages[node] ?? 0), 0)) ?? [];
  return Object.fromEntries<number | number[]>(
    [...found, ['total', nodes] as const].flatMap(([kind, pages]) =>
      [kind, `hierarchical_${kind}`].flatMap((name) => [
        [`${name}_pages`, pages.reduce((sum, each) => sum + each, 0)] as const,
        [`${name}_pages_per_node`, [...pages]] as const,
      ]),
    ),
  );
}
