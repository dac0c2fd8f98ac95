import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controllerNames, type Hierarchies } from '../../../../controllers/cgroups/cgroup-hierarchies.ts';
import { controllersOf, limitsOf, summaryOf } from '../../../../controllers/cgroups/cgroup-limits.ts';
import { parseMountTable } from '../../../../native/mounts-table.ts';
import type { Cgroups } from '../../../../state/schema/manifest.ts';
import { hierarchiesOf } from '../../../../controllers/cgroups/cgroups-observe.ts';

const legacy: Hierarchies = {
  legacy: new Map(controllerNames.map((name) => [name, `/cg/${name}`])),
  unified: null,
  unifiedControllers: new Set(),
  others: [],
  swappiness: '60',
  pageSize: 4096,
  mostProcesses: null,
};
const unified: Hierarchies = {
  legacy: new Map(),
  unified: '/cg',
  unifiedControllers: new Set(['cpu', 'cpuset', 'memory', 'blkio', 'pids']),
  others: [],
  swappiness: '60',
  pageSize: 4096,
  mostProcesses: null,
};

const memory = (fields: Partial<NonNullable<Cgroups['memory']>>): Cgroups => ({
  memory: { oom_monitor: false, ...fields },
});
const unthrottled = {
  throttle_read_bps_device: [],
  throttle_read_iops_device: [],
  throttle_write_bps_device: [],
  throttle_write_iops_device: [],
};
const throttle = {
  weight_device: [],
  throttle_read_bps_device: [{ major: 8, minor: 0, rate: 1000 }],
  throttle_read_iops_device: [],
  throttle_write_bps_device: [],
  throttle_write_iops_device: [{ major: 8, minor: 16, rate: 20 }],
};

const cases: Record<string, { section: Cgroups | null; v1: string[]; v2: string[]; leftOut?: string[] }> = {
  'no section asks for nothing': { section: null, v1: [], v2: [] },
  'shares become a weight': { section: { cpu: { shares: 512 } }, v1: ['cpu.shares 512'], v2: ['cpu.weight 20'] },
  'the smallest and largest shares become the smallest and largest weight': {
    section: { cpu: { shares: 1_000_000 } },
    v1: ['cpu.shares 262144'],
    v2: ['cpu.weight 10000'],
  },
  'quota and period become one line': {
    section: { cpu: { quota: 20_000, period: 50_000 } },
    v1: ['cpu.cfs_period_us 50000', 'cpu.cfs_quota_us 20000'],
    v2: ['cpu.max 20000 50000'],
  },
  'a negative quota is none': { section: { cpu: { quota: -1 } }, v1: [], v2: [] },
  'sets of processors and nodes, which on v1 belong to the leaf': {
    section: { cpu: { cpus: '1,0,3', mems: '0' } },
    v1: [],
    v2: ['cpuset.cpus 1,0,3', 'cpuset.mems 0'],
  },
  'a real-time budget, which v2 does not have': {
    section: { cpu: { realtime_runtime: 10_000, realtime_period: 1_000_000 } },
    v1: ['cpu.rt_runtime_us 10000'],
    v2: [],
    leftOut: ['cpu.realtime_runtime and realtime_period: cgroup v2 has no real-time budget'],
  },
  'memory limits': {
    section: memory({ memory_hard_limit: 10_000_000, memory_soft_limit: 5_000_000 }),
    v1: ['memory.limit_in_bytes 10000000', 'memory.soft_limit_in_bytes 5000000'],
    v2: ['memory.max 10000000', 'memory.low 5000000'],
  },
  'v1 limits memory and swap together, v2 swap alone': {
    section: memory({ memory_hard_limit: 8192, memory_swap_limit: 20_480 }),
    v1: ['memory.limit_in_bytes 8192', 'memory.memsw.limit_in_bytes 20480'],
    v2: ['memory.max 8192', 'memory.swap.max 12288'],
  },
  'negative memory limits are none': {
    section: memory({ memory_hard_limit: -1, memory_swap_limit: -1 }),
    v1: [],
    v2: [],
  },
  'what v2 has no counterpart for is named': {
    section: memory({ swappiness: 0, kernel_memory_limit: 1 }),
    v1: ['memory.swappiness 0', 'memory.kmem.limit_in_bytes = 1'],
    v2: [],
    leftOut: [
      'memory.swappiness: cgroup v2 has no counterpart',
      'memory.kernel_memory_limit: cgroup v2 has no counterpart',
    ],
  },
  'rates of block devices': {
    section: { blkio: { ...throttle, weight: 500 } },
    v1: [
      'blkio.bfq.weight_device default 500',
      'blkio.throttle.read_bps_device 8:0 1000',
      'blkio.throttle.write_iops_device 8:16 20',
    ],
    v2: [
      'io.weight default 4950 instead io.bfq.weight default 500',
      'io.max 8:0 rbps=1000 wbps=max riops=max wiops=max\n8:16 rbps=max wbps=max riops=max wiops=20',
    ],
  },
  'weights of block devices': {
    section: {
      blkio: {
        ...unthrottled,
        weight_device: [
          { major: 8, minor: 0, weight: 1000 },
          { major: 8, minor: 16 },
        ],
      },
    },
    v1: ['blkio.bfq.weight_device 8:0 1000\ndefault 100'],
    v2: ['io.weight 8:0 10000\ndefault 100 instead io.bfq.weight 8:0 1000\ndefault 100'],
  },
  'leaf weights, which no kernel has': {
    section: { blkio: { ...unthrottled, weight_device: [], leaf_weight: 5 } },
    v1: [],
    v2: [],
    leftOut: ['blkio.leaf_weight: no kernel since Linux 5.0 has it'],
  },
  'a number of processes': { section: { pids: { max: 20 } }, v1: ['pids.max 20'], v2: ['pids.max 20'] },
};

/** `file value` for what is not as in a new group, `file = value` for what is written without being compared. */
function lines(section: Cgroups | null, hierarchies: Hierarchies): string[] {
  const { limits } = limitsOf(section, hierarchies);
  return limits
    .filter(({ shown, initial }) => shown === null || shown !== initial)
    .map(({ file, value, shown, instead }) => {
      const other = instead === undefined ? '' : ` instead ${instead.file} ${instead.value}`;
      return `${file} ${shown === null ? '= ' : ''}${value}${other}`;
    });
}

for (const [name, { section, v1, v2, leftOut = [] }] of Object.entries(cases)) {
  test(`${name}, on v1`, () => assert.deepEqual(lines(section, legacy), v1));
  test(`${name}, on v2`, () => {
    assert.deepEqual(lines(section, unified), v2);
    assert.deepEqual(limitsOf(section, unified).leftOut, leftOut);
  });
}

test('every limit that is not asked for is listed with its initial value, so that an earlier one is taken back', () => {
  const { limits } = limitsOf({ cpu: { shares: 2 } }, unified);
  assert.deepEqual(
    limits.map(({ file, value }) => `${file}=${value}`),
    [
      'cpu.weight=1',
      'cpu.max=max 100000',
      'cpuset.cpus=',
      'cpuset.mems=',
      'memory.max=max',
      'memory.low=0',
      'memory.swap.max=max',
      'io.weight=default 100',
      'io.max=',
      'pids.max=max',
    ],
  );
});

test('the summary shows values as the kernel does: whole pages, ranges', () => {
  const limited = memory({ memory_hard_limit: 10_000 });
  assert.equal(summaryOf(limitsOf(limited, legacy).limits), 'memory.limit_in_bytes 8192');
  assert.equal(summaryOf(limitsOf({ cpu: { cpus: '3,0-1,1' } }, unified).limits), 'cpuset.cpus 0-1,3');
});

test('a list that would be endless, or is none, is shown as it was written', () => {
  for (const cpus of ['0-99999999999', '3-1', 'abc']) {
    assert.equal(summaryOf(limitsOf({ cpu: { cpus } }, unified).limits), `cpuset.cpus ${cpus}`);
  }
});

test('an attribute is written as it is, to a file of its own controller only', () => {
  const attrs = { 'memory.oom_control': '1' };
  assert.deepEqual(lines(memory({ attrs }), legacy), ['memory.oom_control = 1']);
  for (const file of ['cgroup.procs', 'memory.x/../../cgroup.procs', 'cpu.shares', 'tasks']) {
    assert.throws(() => limitsOf(memory({ attrs: { [file]: '1' } }), legacy), /is not one of its files/, file);
  }
});

test('a limit of swap below that of memory is refused where v2 cannot express it', () => {
  const section = memory({ memory_hard_limit: 8192, memory_swap_limit: 4096 });
  assert.throws(() => limitsOf(section, unified), /memory_swap_limit needs a memory_hard_limit/);
});

test('a controller that the host does not have is an error that names it', () => {
  const without: Hierarchies = { ...unified, unifiedControllers: new Set(['cpu']) };
  assert.throws(() => limitsOf(memory({}), without), /no memory controller/);
  assert.doesNotThrow(() => limitsOf({ cpu: {} }, without));
});

test('a section needs the controllers of what it sets, and cpuacct for the statistics', () => {
  assert.deepEqual([...controllersOf(null)], []);
  assert.deepEqual([...controllersOf(memory({}))], ['memory', 'cpuacct']);
  assert.deepEqual([...controllersOf({ cpu: { cpus: '0' } })], ['cpu', 'cpuset', 'cpuacct']);
});

const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
`;

test('on a hybrid host each controller is where the host has it', () => {
  const found = hierarchiesOf(parseMountTable(hybrid), 'io pids\n', 4096);
  assert.deepEqual(
    [...found.legacy],
    [
      ['cpu', '/sys/fs/cgroup/cpu,cpuacct'],
      ['cpuacct', '/sys/fs/cgroup/cpu,cpuacct'],
      ['memory', '/sys/fs/cgroup/memory'],
    ],
  );
  assert.deepEqual(found.others, ['/sys/fs/cgroup/systemd']);
  assert.equal(found.unified, '/sys/fs/cgroup/uni fied');
  assert.deepEqual([...found.unifiedControllers], ['blkio', 'pids']);
});

test('a host without control groups has none', () => {
  const found = hierarchiesOf(parseMountTable(''), '', 4096);
  assert.deepEqual([found.legacy.size, found.unified, found.unifiedControllers.size], [0, null, 0]);
});

test("weights of BFQ are compared as io.cost's", () => {
  const { limits } = limitsOf({ blkio: { ...unthrottled, weight: 500, weight_device: [] } }, unified);
  const weight = limits.find(({ file }) => file === 'io.weight');
  assert.equal(weight?.instead?.asShown('default 500'), weight?.shown);
  assert.equal(weight?.instead?.asShown('default 100'), 'default 100');
});
