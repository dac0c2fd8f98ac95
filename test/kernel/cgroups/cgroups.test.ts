import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeEach, test } from 'node:test';
import { versionOf } from '../../../controllers/cgroups/cgroup-hierarchies.ts';
import type { Cgroups } from '../../../controllers/cgroups/cgroups.ts';
import { TerminalError } from '../../../controllers/failure.ts';
import type { Cgroups as Section } from '../../../state/schema/manifest.ts';
import { groupOf, hierarchies, limited, useControlGroups, type ControlGroups } from '../../support/control-groups.ts';
import { attempt, packageOf, target, view } from '../../support/views.ts';

const { signal } = new AbortController();
const memoryVersion = versionOf(hierarchies, 'memory');

const control = useControlGroups();
let cgroups: Cgroups;
let start: ControlGroups['start'];
let warnings: string[];
let applyLimits: ControlGroups['applyLimits'];
beforeEach(() => ({ cgroups, start, warnings, applyLimits } = control()));

test('a leaf is made in the v2 tree, and on v1 for the controllers that the section uses and no others', async () => {
  const plain = await cgroups.leaf('plain', 3, null);
  const some = await cgroups.leaf('some', 4, { cpu: { shares: 100 } });
  plain.close();
  some.close();
  const legacy = [...hierarchies.legacy.keys()];
  const used = ['cpu', 'cpuacct'].filter((name) => legacy.includes(name as 'cpu'));
  const unified = hierarchies.unified === null ? [] : ['unified', ...hierarchies.unifiedControllers];
  const seen = cgroups.observe();
  assert.deepEqual([...(seen.get('plain')?.groups.keys() ?? [])], unified);
  assert.deepEqual([...(seen.get('some')?.groups.keys() ?? [])].sort(), [...unified, ...used].sort());
  assert.deepEqual(seen.get('some')?.leaves, [4]);
  assert.deepEqual(seen.get('some')?.limits, '');
});

test('names that are called like control files clash with none', async () => {
  const names = ['cgroup.procs', 'memory.max', 'tasks', '.', '..', 'a..b'];
  for (const name of names) (await cgroups.leaf(name, 1, limited(1_000_000))).close();
  assert.deepEqual([...cgroups.observe().keys()].sort(), names.sort());
});

test('many leaves made at once are all whole', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `n${index}`);
  const leaves = await Promise.all(
    names.map((name) => cgroups.leaf(name, 1, { cpu: { cpus: '0' }, ...limited(1_000_000) })),
  );
  leaves.forEach((leaf) => leaf.close());
  const counts = new Set([...cgroups.observe().values()].map(({ groups }) => groups.size));
  assert.equal(cgroups.observe().size, 20);
  assert.equal(counts.size, 1);
});

test('a process that joins through the descriptors is in the leaf of every hierarchy', async () => {
  const leaf = await cgroups.leaf('app', 7, { cpu: { shares: 100 }, ...limited(50_000_000) });
  const child = start(leaf, 'sleep');
  leaf.close();
  const lines = groupOf(child)
    .split('\n')
    .filter((line) => line.endsWith(`/${control().root}/container-app/7`));
  const expected = new Set([...(cgroups.observeOne('app')?.groups.values() ?? [])]).size;
  assert.equal(lines.length, expected);
});

test('limits are written before the start and read back as the kernel shows them', async () => {
  const section: Section = { cpu: { shares: 200, quota: 20_000, period: 50_000 }, ...limited(10_000_000) };
  (await cgroups.leaf('app', 1, section)).close();
  applyLimits('app', section);
  const shown = cgroups.observeOne('app')?.limits.split('\n') ?? [];
  const memory = memoryVersion === 1 ? 'memory.limit_in_bytes 9998336' : 'memory.max 9998336';
  const shares = versionOf(hierarchies, 'cpu') === 1 ? 'cpu.shares 200' : 'cpu.weight 8';
  assert.ok(shown.includes(memory), shown.join());
  assert.ok(shown.includes(shares), shown.join());
});

test('limits that are in force are not written again', async () => {
  const section: Section = { cpu: { shares: 200 }, ...limited(10_000_000, 20_000_000) };
  (await cgroups.leaf('app', 1, section)).close();
  applyLimits('app', section);
  assert.deepEqual(applyLimits('app', section), []);
});

test('limits of memory and swap are raised, lowered and taken back in an order that the kernel accepts', async () => {
  (await cgroups.leaf('app', 1, limited(1))).close();
  for (const [hard, swap] of [
    [10, 20],
    [30, 40],
    [5, 6],
    [50, 50],
    [2, 90],
    [90, 90],
  ] as const) {
    applyLimits('app', limited(hard * 1_000_000, swap * 1_000_000));
    const shown = cgroups.observeOne('app')?.limits ?? '';
    assert.match(shown, new RegExp(`${Math.floor((hard * 1_000_000) / 4096) * 4096}`));
  }
  applyLimits('app', null);
  assert.equal(cgroups.observeOne('app')?.limits, '');
});

test('a change of limits takes effect on what runs', async () => {
  const leaf = await cgroups.leaf('app', 1, { cpu: { shares: 100 } });
  start(leaf, 'sleep');
  leaf.close();
  await cgroups.act({ op: 'limit', name: 'app', section: { cpu: { shares: 300 } }, waits: null }, signal);
  assert.match(cgroups.observeOne('app')?.limits ?? '', /cpu\.(shares 300|weight 12)/);
});

test('a controller that was not used before takes over the processes that run', async () => {
  const leaf = await cgroups.leaf('app', 1, null);
  const child = start(leaf, 'sleep');
  leaf.close();
  await cgroups.act({ op: 'limit', name: 'app', section: limited(20_000_000), waits: null }, signal);
  assert.match(cgroups.observeOne('app')?.limits ?? '', /memory\.\S+ 19996672/);
  const line = groupOf(child)
    .split('\n')
    .find((text) => (memoryVersion === 1 ? /:memory:/ : /^0::/).test(text));
  assert.ok(line?.endsWith(`/${control().root}/container-app/1`), line);
});

test('a set of processors holds from the start, for the next attempt another, and is changed while it runs', async () => {
  const on = (cpus: string): Section => ({ cpu: { cpus } });
  const allowed = ({ pid = 0 }: ChildProcess) =>
    /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  const first = await cgroups.leaf('app', 1, on('0'));
  applyLimits('app', on('0'));
  const one = start(first, 'sleep');
  first.close();
  assert.equal(allowed(one), '0');
  const second = await cgroups.leaf('app', 2, on('1'));
  applyLimits('app', on('1'));
  const two = start(second, 'sleep');
  second.close();
  assert.equal(allowed(two), '1');
  await cgroups.act({ op: 'limit', name: 'app', section: on('0'), waits: null }, signal);
  assert.equal(allowed(two), '0');
});

test('another set of processors for what runs is planned, and again when somebody else has changed it', async () => {
  const on = (cpus: string): Section => ({ cpu: { cpus } });
  const leaf = await cgroups.leaf('app', 1, on('0'));
  applyLimits('app', on('0'));
  leaf.close();
  const steps = (section: Section) => {
    const of = { cgroup: cgroups.observeOne('app'), attempts: [attempt(1, '1.0.0')] };
    return cgroups.plan(
      view({ ...of, targets: [target('running', '1.0.0', packageOf('1.0.0'), { cgroups: section })] }),
    );
  };
  assert.deepEqual(steps(on('0')), []);
  const [step, ...others] = steps(on('1'));
  assert.deepEqual([step?.op, others], ['limit', []]);
  await cgroups.act(step!, signal);
  assert.deepEqual(steps(on('1')), []);
  assert.deepEqual(
    steps({ cpu: {} }).map(({ op }) => op),
    ['limit'],
  );
  // All that there are is as good as none asked for.
  await cgroups.act({ op: 'limit', name: 'app', section: on('0-1'), waits: null }, signal);
  assert.deepEqual(steps(on('0,1')), []);
});

test('a processor that the host does not have is refused', async () => {
  const section: Section = { cpu: { cpus: '4000' } };
  await assert.rejects(
    cgroups.leaf('app', 1, section).then((leaf) => {
      leaf.close();
      return cgroups.act({ op: 'limit', name: 'app', section, waits: null }, signal);
    }),
    /cpuset.cpus refuses "4000": (EINVAL|ERANGE|EACCES|ENOSPC)/,
  );
});

test('a container that takes more memory than it may is killed, and its leaf counts that', async () => {
  const leaf = await cgroups.leaf('app', 1, limited(8_000_000, 8_000_000));
  applyLimits('app', limited(8_000_000, 8_000_000));
  const child = start(leaf, 'eat', '64', 'sleep');
  child.stdin?.end('go\n');
  const [, killedBy] = (await once(child, 'exit')) as [number | null, string | null];
  assert.equal(killedBy, 'SIGKILL');
  const counted = Buffer.alloc(4096);
  const length = leaf.oom === null ? 0 : readSync(leaf.oom, counted, 0, counted.length, 0);
  leaf.close();
  assert.match(counted.toString('latin1', 0, length), /^oom_kill 1$/m);
});

test('statistics have the shape that the console gives, and count what is used', async () => {
  const section: Section = { cpu: { shares: 100 }, ...limited(50_000_000) };
  const leaf = await cgroups.leaf('app', 1, section);
  applyLimits('app', section);
  const child = start(leaf, 'eat', '4', 'exit', '0');
  child.stdin?.end('go\n');
  await once(child, 'exit');
  leaf.close();
  const usage = cgroups.usage('app') as { cpu: { stat: string }; memory: { memory: Record<string, number> } };
  assert.deepEqual(Object.keys(usage), ['blkio', 'cpu', 'memory']);
  assert.match(usage.cpu.stat, /^nr_periods \d+$/m);
  assert.equal(usage.memory.memory['limit_in_bytes'], 49_999_872);
  assert.ok((usage.memory.memory['max_usage_in_bytes'] ?? 0) > 4_000_000);
});

test('a container without limits has no statistics', async () => {
  (await cgroups.leaf('app', 1, null)).close();
  if (hierarchies.unifiedControllers.size === 0) assert.deepEqual(cgroups.usage('app'), {});
});

test('a value that the kernel refuses is an error that names file, value and errno', async () => {
  const section: Section = { cpu: { quota: 1 } };
  (await cgroups.leaf('app', 1, section)).close();
  await assert.rejects(cgroups.act({ op: 'limit', name: 'app', section, waits: null }, signal), (error) => {
    assert.ok(error instanceof TerminalError);
    assert.equal(error.reason, 'CgroupRefused');
    assert.match(error.message, /container-app\/cpu\.(cfs_quota_us refuses "1"|max refuses "1 100000"): EINVAL/);
    return true;
  });
});

test('a file that the kernel does not have is an error that names it', async () => {
  const section: Section = { memory: { oom_monitor: false, attrs: { 'memory.nonsense': '1' } } };
  (await cgroups.leaf('app', 1, section)).close();
  assert.throws(() => cgroups.limits('app', section), /cannot open .*container-app\/memory.nonsense: ENOENT/);
});

test('a section that the host cannot follow is refused before anything is made', async () => {
  const section: Section = { memory: { oom_monitor: false, attrs: { tasks: '1' } } };
  await assert.rejects(cgroups.leaf('app', 1, section), /tasks is not one of its files/);
  assert.equal(cgroups.observe().size, 0);
});

test('a host that lets no group be made is told on, and nothing stays open', async () => {
  (await cgroups.leaf('first', 1, null)).close();
  assert.ok(hierarchies.unified !== null, 'this host has no v2 tree');
  const limit = `${hierarchies.unified}/${control().root}/cgroup.max.descendants`;
  writeFileSync(limit, '2');
  await assert.rejects(cgroups.leaf('second', 1, null), {
    reason: 'CgroupRefused',
    message: new RegExp(`cannot make .*/${control().root}/container-second: EAGAIN`),
  });
});

test('a leaf is removed with what is left in it, then the group, then the root', async () => {
  const leaf = await cgroups.leaf('app', 1, { cpu: { shares: 100 } });
  const child = start(leaf, 'sleep');
  leaf.close();
  const removeLeaf = () => cgroups.act({ op: 'remove-leaf', name: 'app', attempt: 1, waits: null }, signal);
  const removeGroup = () => cgroups.act({ op: 'remove-group', name: 'app', leaves: [], waits: null }, signal);
  await assert.rejects(removeGroup(), /cannot remove .*container-app: EBUSY/);
  // Its processes are killed at the first try, and may take until after it to die.
  const ended = once(child, 'exit');
  await removeLeaf().catch((error: unknown) => assert.match(String(error), /EBUSY/));
  await ended;
  await removeLeaf();
  await removeLeaf();
  await removeGroup();
  await removeGroup();
  assert.equal(cgroups.observe().size, 0);
  await cgroups.removeRoot();
  assert.deepEqual(warnings, []);
});

test('a root that something is left in stays, and is logged', async () => {
  (await cgroups.leaf('app', 1, null)).close();
  await cgroups.removeRoot();
  assert.match(warnings.join(), /control group left behind/);
  assert.deepEqual(cgroups.observeOne('app')?.leaves, [1]);
});

test('groups that a dead runtime left are seen by the next one, and can be used or removed', async () => {
  (await cgroups.leaf('app', 1, limited(10_000_000))).close();
  applyLimits('app', limited(10_000_000));
  const next = control().open();
  assert.deepEqual(next.observe().get('app')?.leaves, [1]);
  (await next.leaf('app', 2, limited(10_000_000))).close();
  assert.deepEqual(next.observeOne('app')?.leaves, [1, 2]);
  await next.act({ op: 'remove-group', name: 'app', leaves: [1, 2], waits: null }, signal);
  assert.equal(next.observeOne('app'), null);
});

test('groups of others below our root are neither containers nor attempts, and are left alone', async () => {
  (await cgroups.leaf('app', 1, null)).close();
  const group = cgroups.observeOne('app')?.groups.get('unified') ?? '';
  mkdirSync(`${dirname(group)}/somebody`);
  mkdirSync(`${group}/else`);
  assert.deepEqual([...cgroups.observe().keys()], ['app']);
  assert.deepEqual(cgroups.observeOne('app')?.leaves, [1]);
  await cgroups.act({ op: 'remove-leaf', name: 'app', attempt: 1, waits: null }, signal);
  await assert.rejects(cgroups.act({ op: 'remove-group', name: 'app', leaves: [], waits: null }, signal), /EBUSY/);
  assert.ok(existsSync(`${group}/else`));
});

test('the root is held by one runtime at a time, and a leaf that another has made is not emptied', async () => {
  const fd = await cgroups.claim('process 1 (stateDir /first)', null);
  assert.ok(fd !== null);
  const other = control().open(undefined, undefined, '/second');
  await assert.rejects(other.claim('process 2', null), /in use by process 1 \(stateDir \/first\)/);
  assert.equal(await cgroups.claim('process 1', fd), null);

  const leaf = await cgroups.leaf('app', 1, { cpu: { shares: 100 } });
  const child = start(leaf, 'sleep');
  leaf.close();
  await assert.rejects(other.act({ op: 'remove-leaf', name: 'app', attempt: 1, waits: null }, signal), /EBUSY/);
  await assert.rejects(other.leaf('app', 1, { cpu: { shares: 100 } }), /processes of another runtime/);
  const { signalCode, exitCode } = child;
  assert.deepEqual([signalCode, exitCode], [null, null]);

  closeSync(fd);
  const second = await other.claim('process 2 (stateDir /second)', null);
  assert.ok(second !== null);
  closeSync(second);
});
