// Limits of control groups in the older dialect: controller -> file of cgroup v1 -> value.
import { dictionary, manifestError, type Dictionary, type Entry, type Node } from './nodes.ts';
import type { Context } from './dialect-context.ts';

/** Files that have a field of their own today. */
const counterparts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  cpu: {
    cpus: 'cpus',
    mems: 'mems',
    shares: 'shares',
    cfs_quota_us: 'quota',
    cfs_period_us: 'period',
    rt_runtime_us: 'realtime_runtime',
    rt_period_us: 'realtime_period',
  },
  memory: {
    limit_in_bytes: 'memory_hard_limit',
    soft_limit_in_bytes: 'memory_soft_limit',
    swappiness: 'swappiness',
    'memsw.limit_in_bytes': 'memory_swap_limit',
    'kmem.limit_in_bytes': 'kernel_memory_limit',
    'kmem.tcp.limit_in_bytes': 'kernel_tcp_memory_limit',
  },
  blkio: { weight: 'weight', leaf_weight: 'leaf_weight' },
};

const blkioLists = [
  'weight_device',
  'throttle_read_bps_device',
  'throttle_read_iops_device',
  'throttle_write_bps_device',
  'throttle_write_iops_device',
];

/**
 * Today's `cgroups`. In a package of today's format only the old names that have a counterpart are understood: others
 * are fields that it does not know, and those are ignored. In an old package every file is a file to write.
 */
export function modernCgroups(node: Node, context: Context): Node {
  if (node.kind !== 'map') return node;
  const controllers = new Map(node.entries);
  if (context.old) mergeCpuset(node, controllers, context);
  const entries = [...controllers].map(
    ([name, { at, value }]) => [name, { at, value: controller(name, value, context) }] as const,
  );
  return { ...node, entries: new Map(entries) };
}

function controller(name: string, node: Node, { tree, old, note }: Context): Node {
  const known = Object.hasOwn(counterparts, name) ? counterparts[name] : undefined;
  if (known === undefined && old && name !== 'parent') {
    throw manifestError(
      tree.text,
      node.at,
      ['cgroups', name],
      'this controller has no counterpart in the present format',
    );
  }
  if (known === undefined || node.kind !== 'map') return node;
  const fields = new Map<string, Entry>();
  const attributes: [string, Node][] = [];
  for (const [file, entry] of node.entries) {
    const { value } = entry;
    const field = Object.hasOwn(known, file) ? known[file] : undefined;
    if (field !== undefined && field !== file) note(`cgroups: ${name}.${file} is ${name}.${field}`);
    if (field === undefined && old && value.kind === 'scalar') attributes.push([`${name}.${file}`, value]);
    else fields.set(field ?? file, entry);
  }
  if (attributes.length > 0) {
    note(`cgroups: other files of ${name} stand in its attrs`);
    fields.set('attrs', { at: node.at, value: dictionary(node, attributes) });
  }
  for (const list of old && name === 'blkio' ? blkioLists : []) {
    // Today's blkio wants all of its lists.
    if (!fields.has(list))
      fields.set(list, { at: node.at, value: { kind: 'list', at: node.at, tag: null, items: [] } });
  }
  return { ...node, entries: fields };
}

/** cpuset's two files are fields of cpu. */
function mergeCpuset(node: Dictionary, controllers: Map<string, Entry>, { tree, note }: Context): void {
  const cpuset = controllers.get('cpuset')?.value;
  if (cpuset === undefined) return;
  const files = cpuset.kind === 'map' ? [...cpuset.entries] : [];
  const unknown = files.find(([file]) => file !== 'cpus' && file !== 'mems');
  if (cpuset.kind !== 'map' || unknown !== undefined) {
    const path = ['cgroups', 'cpuset', ...(unknown === undefined ? [] : [unknown[0]])];
    throw manifestError(tree.text, cpuset.at, path, 'has no counterpart in the present format');
  }
  note('cgroups: cpuset.cpus and cpuset.mems are cpu.cpus and cpu.mems');
  const cpu = controllers.get('cpu')?.value;
  const others = cpu?.kind === 'map' ? [...cpu.entries] : [];
  controllers.delete('cpuset');
  controllers.set('cpu', { at: cpuset.at, value: { ...cpuset, entries: new Map([...others, ...files]) } });
}
