// Limits of block devices and processes, and where groups are.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { versionOf } from '../../../controllers/cgroups/cgroup-hierarchies.ts';
import type { Cgroups } from '../../../controllers/cgroups/cgroups.ts';
import type { Cgroups as Section } from '../../../state/schema/manifest.ts';
import { groupOf, hierarchies, limited, useControlGroups, type ControlGroups } from '../../support/control-groups.ts';

const { signal } = new AbortController();
const memoryVersion = versionOf(hierarchies, 'memory');
const control = useControlGroups();
let cgroups: Cgroups;
let start: ControlGroups['start'];
let warnings: string[];
let applyLimits: ControlGroups['applyLimits'];
beforeEach(() => ({ cgroups, start, warnings, applyLimits } = control()));

test('rates of a block device hold for what runs, change one by one, and are taken back', async () => {
  const [device = ''] = readdirSync('/sys/block').map((name) => readFileSync(`/sys/block/${name}/dev`, 'utf8').trim());
  const [major = 0, minor = 0] = device.split(':').map(Number);
  const rates = (bps: number, iops: number): Section => ({
    blkio: {
      weight_device: [],
      throttle_read_bps_device: bps === 0 ? [] : [{ major, minor, rate: bps }],
      throttle_read_iops_device: [],
      throttle_write_bps_device: [],
      throttle_write_iops_device: iops === 0 ? [] : [{ major, minor, rate: iops }],
    },
  });
  const shown = () => cgroups.observeOne('app')?.limits ?? '';
  const leaf = await cgroups.leaf('app', 1, rates(1_000_000, 0));
  applyLimits('app', rates(1_000_000, 0));
  const child = start(leaf, 'sleep');
  leaf.close();
  const group = cgroups.observeOne('app')?.groups.get('blkio') ?? '';
  const holds = versionOf(hierarchies, 'blkio') === 1 ? '' : '/1';
  assert.ok(readFileSync(`${group}${holds}/cgroup.procs`, 'utf8').split('\n').includes(String(child.pid)));
  assert.match(shown(), new RegExp(`${device} (rbps=)?1000000`));
  for (const [bps, iops] of [
    [2_000_000, 50],
    [0, 50],
    [0, 0],
  ] as const) {
    await cgroups.act({ op: 'limit', name: 'app', section: rates(bps, iops), waits: null }, signal);
    assert.equal(/2000000/.test(shown()), bps > 0);
    assert.equal(new RegExp(`${device}.*[ =]50`).test(shown()), iops > 0);
    assert.equal(shown() === '', bps + iops === 0);
  }
});

test('a weight is that of the scheduler which the kernel has, or an error that names the file', async () => {
  const unthrottled = { throttle_read_bps_device: [], throttle_read_iops_device: [] };
  const section: Section = {
    blkio: {
      weight: 500,
      weight_device: [],
      ...unthrottled,
      throttle_write_bps_device: [],
      throttle_write_iops_device: [],
    },
  };
  (await cgroups.leaf('app', 1, section)).close();
  const group = cgroups.observeOne('app')?.groups.get('blkio') ?? '';
  const files = ['blkio.bfq.weight_device', 'io.weight', 'io.bfq.weight'].filter((file) =>
    existsSync(join(group, file)),
  );
  if (files.length === 0) {
    assert.throws(() => applyLimits('app', section), /cannot open .*weight(_device)?: ENOENT/);
    return;
  }
  applyLimits('app', section);
  assert.match(cgroups.observeOne('app')?.limits ?? '', /weight(_device)? default (500|4950)/);
  assert.deepEqual(applyLimits('app', section), []);
  assert.equal((cgroups.usage('app') as { blkio: { weight: number } }).blkio.weight, 500);
  applyLimits('app', null);
  assert.equal(cgroups.observeOne('app')?.limits, '');
});

test('a number of processes is a limit', async () => {
  const section: Section = { pids: { max: 1 } };
  const leaf = await cgroups.leaf('app', 1, section);
  applyLimits('app', section);
  const child = start(leaf, 'orphans', '1');
  leaf.close();
  child.stdin?.end('go\n');
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, constants.errno.EAGAIN);
  assert.equal(cgroups.observeOne('app')?.limits, 'pids.max 1');
});

test('swappiness is that of the processes, and goes back to what the host has', async () => {
  const section: Section = { memory: { oom_monitor: false, swappiness: 5 } };
  (await cgroups.leaf('app', 1, section)).close();
  applyLimits('app', section);
  // cgroup v2 has no such file: the limit is left out, and said to be.
  if (memoryVersion === 2) {
    assert.match(warnings.join(), /memory\.swappiness: cgroup v2 has no counterpart/);
    return;
  }
  const group = cgroups.observeOne('app')?.groups.get('memory') ?? '';
  const both = () => ['', '/1'].map((leaf) => readFileSync(`${group}${leaf}/memory.swappiness`, 'utf8').trim());
  assert.deepEqual(both(), ['5', '5']);
  await cgroups.act({ op: 'limit', name: 'app', section: { memory: { oom_monitor: false } }, waits: null }, signal);
  assert.deepEqual(both(), [hierarchies.swappiness, hierarchies.swappiness]);
});

test('a parent stands in the place of our root: what is missing of it is made, found again, and taken away at the end', async () => {
  const parent = `${control().root}-slice/inner`;
  const section: Section = { parent: `/${parent}/`, cpu: { shares: 100 }, ...limited(20_000_000) };
  const places = join(await mkdtemp(join(tmpdir(), 'northstate-')), 'cgroups.json');
  const cgroups = control().open(hierarchies, places);
  const leaf = await cgroups.leaf('app', 1, section);
  const { files, close } = cgroups.limits('app', section);
  for (const { fd, bytes } of files) writeSync(fd, bytes);
  close();
  const child = start(leaf, 'sleep');
  leaf.close();
  const lines = groupOf(child)
    .split('\n')
    .filter((line) => line.endsWith(`/${parent}/container-app/1`));
  assert.ok(lines.length > 0, groupOf(child));
  (await cgroups.leaf('other', 2, null)).close();
  const next = control().open(hierarchies, places);
  assert.deepEqual([...next.observe().keys()].sort(), ['app', 'other']);
  assert.match(next.observeOne('app')?.limits ?? '', /memory\.\S+ 19996672/);
  // As long as there is a group it stays where it is.
  (await next.leaf('app', 3, { cpu: { shares: 100 } })).close();
  assert.deepEqual(next.observeOne('app')?.leaves, [1, 3]);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  for (const [name, attempt] of [
    ['app', 1],
    ['app', 3],
    ['other', 2],
  ] as const) {
    await next.act({ op: 'remove-leaf', name, attempt, waits: null }, signal);
  }
  for (const name of ['app', 'other']) await next.act({ op: 'remove-group', name, leaves: [], waits: null }, signal);
  await next.removeRoot();
  assert.deepEqual(warnings, []);
  assert.ok(!existsSync(`${hierarchies.unified ?? ''}/${control().root}-slice`));
  await rm(dirname(places), { recursive: true });
});
