// Statistics in the shape that the console promises (fixtures/expected/statistics-cgroup-v1.json), on both versions.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { controllerNames, type Hierarchies } from '../../../../controllers/cgroups/cgroup-hierarchies.ts';
import { usageOf, type Usage } from '../../../../controllers/cgroups/cgroup-usage.ts';

const directory = await mkdtemp(join(tmpdir(), 'northstate-usage-'));
after(() => rm(directory, { recursive: true }));
const fixture = join(import.meta.dirname, '../../../fixtures/expected/statistics-cgroup-v1.json');
const common = { others: [], swappiness: '60', pageSize: 4096, mostProcesses: null };
const legacy: Hierarchies = {
  ...{ ...common, unified: null, unifiedControllers: new Set() },
  legacy: new Map(controllerNames.map((name) => [name, `/cg/${name}`])),
};
const unified: Hierarchies = {
  ...{ ...common, unified: '/cg', legacy: new Map() },
  unifiedControllers: new Set(['cpu', 'memory', 'blkio']),
};

/** The usage of a group whose files have these contents. */
async function usage(name: string, hierarchies: Hierarchies, files: Readonly<Record<string, string>>): Promise<Usage> {
  const group = join(directory, name);
  await mkdir(group);
  for (const [file, content] of Object.entries(files)) await writeFile(join(group, file), content);
  return usageOf(new Map(['cpu', 'memory', 'blkio'].map((controller) => [controller, group])), hierarchies);
}

/** Names and types: of lists, and of what the kernel itself names (`raw`), only that they are. */
function shapeOf(value: unknown, name = ''): unknown {
  if (typeof value !== 'object' || value === null) return typeof value;
  if (Array.isArray(value) || name === 'raw') return Array.isArray(value) ? 'list' : 'object';
  return Object.fromEntries(
    Object.entries(value)
      .sort()
      .map(([key, member]) => [key, shapeOf(member, key)]),
  );
}

const unifiedFiles = {
  'cpu.stat':
    'usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 4\nnr_throttled 1\nthrottled_usec 7\nnr_bursts 0\nburst_usec 0\n',
  'memory.current': '40960\n',
  'memory.peak': '81920\n',
  'memory.max': '8388608\n',
  'memory.low': '0\n',
  'memory.swap.max': 'max\n',
  'memory.swap.current': '4096\n',
  'memory.events': 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n',
  'memory.stat': 'anon 8192\nfile 16384\nkernel 1024\nsock 512\nfile_mapped 4096\npgfault 9\n',
  'memory.numa_stat': 'anon N0=8192 N1=0\nfile N0=12288 N1=4096\nunevictable N0=0 N1=0\n',
  'io.stat': '8:0 rbytes=4096 wbytes=1024 rios=3 wios=2 dbytes=0 dios=0\n',
  'io.max': '8:0 rbps=1000 wbps=max riops=max wiops=20\n',
  'io.weight': 'default 10000\n8:0 1\n',
};

test('both versions give the names and types that the console promises', async () => {
  const promised = shapeOf(JSON.parse(await readFile(fixture, 'utf8')));
  assert.deepEqual(shapeOf(await usage('legacy', legacy, {})), {
    ...(promised as object),
    cpu: { stat: 'string' },
  });
  assert.deepEqual(shapeOf(await usage('unified', unified, unifiedFiles)), promised);
});

test('what v2 counts is told under the names of v1', async () => {
  const { cpu, memory, blkio } = (await usage('translated', unified, unifiedFiles)) as {
    cpu: { stat: string };
    memory: { memory: Record<string, unknown> & { stat: Record<string, number>; numa_stat: unknown }; kmem: unknown };
    blkio: Record<string, unknown> & { throttle: Record<string, unknown> };
  };
  assert.match(cpu.stat, /^nr_periods 4$[^]*^throttled_time 7000$[^]*^burst_time 0$/m);
  const { memory: own } = memory;
  assert.deepEqual([own['fail_cnt'], own['limit_in_bytes'], own['max_usage_in_bytes']], [12, 8_388_608, 81_920]);
  assert.deepEqual(
    [own.stat['rss'], own.stat['total_rss'], own.stat['cache'], own.stat['swap']],
    [8192, 8192, 16_384, 4096],
  );
  assert.equal(own.stat['hierarchical_memory_limit'], 8_388_608);
  const numa = own.numa_stat as Record<string, unknown>;
  assert.deepEqual(
    [numa['anon_pages_per_node'], numa['file_pages'], numa['total_pages_per_node']],
    [[2, 0], 4, [5, 1]],
  );
  const device = { major: 8, minor: 0 };
  assert.deepEqual(blkio['io_stat'], [{ ...device, rbytes: 4096, wbytes: 1024, rios: 3, wios: 2, dbytes: 0, dios: 0 }]);
  const bytes = { ...device, read: 4096, write: 1024, discard: 0, sync: 0, async: 0, total: 5120 };
  assert.deepEqual([blkio.throttle['io_service_bytes'], blkio.throttle['io_service_bytes_total']], [[bytes], 5120]);
  assert.deepEqual(blkio.throttle['read_bps_device'], [{ ...device, data: 1000 }]);
  assert.deepEqual(blkio.throttle['write_bps_device'], []);
  assert.deepEqual([blkio['weight'], blkio['weight_device']], [1000, [{ ...device, data: 10 }]]);
});

test('what v1 counts is told as it is', async () => {
  const { blkio, cpu } = (await usage('as it is', legacy, {
    'cpu.stat': 'nr_periods 1\nnr_throttled 0\nthrottled_time 5\n',
    'blkio.throttle.io_serviced': '8:0 Read 3\n8:0 Write 2\n8:0 Total 5\nTotal 5\n',
    'blkio.bfq.weight_device': 'default 500\n',
  })) as { blkio: Record<string, unknown> & { throttle: Record<string, unknown> }; cpu: { stat: string } };
  assert.equal(cpu.stat, 'nr_periods 1\nnr_throttled 0\nthrottled_time 5\n');
  assert.deepEqual(blkio.throttle['io_serviced'], [{ major: 8, minor: 0, read: 3, write: 2, total: 5 }]);
  assert.deepEqual([blkio.throttle['io_serviced_total'], blkio['weight']], [5, 500]);
});
