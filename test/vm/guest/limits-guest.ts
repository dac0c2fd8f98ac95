// Limits from the document to the kernel's files and back, through a whole daemon. Runs in the guest, whatever mixture of
// cgroup v1 and v2 is mounted there.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { versionOf, type ControllerName } from '../../../controllers/cgroups/cgroup-hierarchies.ts';
import { connectConsole } from '../../../src/client/console-client.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { succeed } from '../../support/successor.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';

const hierarchies = detectHierarchies();
const limits = (bytes: number) =>
  `{ cpu: { shares: 512, quota: 50000, period: 100000 }, memory: { memory_hard_limit: ${bytes} } }`;
const app = (version: string, bytes: number) =>
  `app: { version: ${version}, state: running, cgroups: ${limits(bytes)} }`;
const eater = (args: string) =>
  `eater: { state: running, restart: { policy: never }, args: ${args}, cgroups: { memory: { oom_monitor: true, memory_hard_limit: 8000000, memory_swap_limit: 8000000 } } }`;

/** The directory of a name in the hierarchy that a controller is in. */
function groupOf(daemon: Daemon, name: string, controller: ControllerName): string {
  const mount = hierarchies.legacy.get(controller) ?? hierarchies.unified ?? '';
  return join(mount, daemon.mark, `container-${name}`);
}

/** The content of a control file: `files` are its names in cgroup v1 and v2. */
function shown(daemon: Daemon, controller: ControllerName, files: readonly [string, string]): string {
  const file = files[versionOf(hierarchies, controller) === 1 ? 0 : 1];
  return readFileSync(join(groupOf(daemon, 'app', controller), file), 'utf8').trim();
}

const memoryLimit = (daemon: Daemon) => shown(daemon, 'memory', ['memory.limit_in_bytes', 'memory.max']);
const leaves = (directory: string) => readdirSync(directory).filter((name) => /^\d+$/.test(name));

/** Waits until `app` runs as this version. */
const running = (daemon: Daemon, version: string) =>
  daemon.untilContainer('app', `runs as ${version}`, (each) => each.phase === 'Running' && each.version === version);

async function statistics(daemon: Daemon, container: string) {
  const client = await connectConsole(daemon.console);
  const { data } = await client.call('inspect', { container });
  client.close();
  const { process: found } = data as { process: { statistics: { cpu: { stat: string }; memory: { memory: Memory } } } };
  return found.statistics;
}
interface Memory {
  readonly limit_in_bytes: number;
  readonly usage_in_bytes: number;
}

test('limits hold from the start, change in place, survive the reconciler and a new version, and go with the end', async () => {
  const before = openDescriptors();
  const packages = await Promise.all(['1.0.0', '1.1.0'].map((version) => probePackage({ name: 'app', version })));
  const document = (directory: string) => documentOf(directory, app('1.0.0', 50_000_000));
  await using daemon = await startDaemon({ packages, document });
  const { pid } = await running(daemon, '1.0.0');
  const leaf = leaves(groupOf(daemon, 'app', 'memory'));
  assert.equal(leaf.length, 1);
  for (const controller of ['cpu', 'memory'] as const) {
    const procs = readFileSync(join(groupOf(daemon, 'app', controller), leaf[0] ?? '', 'cgroup.procs'), 'utf8');
    assert.ok(procs.split('\n').includes(String(pid)), `${controller}: ${pid} is not among ${procs}`);
  }
  assert.equal(memoryLimit(daemon), '49999872');
  assert.equal(shown(daemon, 'cpu', ['cpu.shares', 'cpu.weight']), versionOf(hierarchies, 'cpu') === 1 ? '512' : '20');
  assert.match(shown(daemon, 'cpu', ['cpu.cfs_quota_us', 'cpu.max']), /^50000( 100000)?$/);
  const used = await statistics(daemon, 'app:1.0.0');
  assert.equal(used.memory.memory.limit_in_bytes, 49_999_872);
  assert.ok(used.memory.memory.usage_in_bytes > 0);
  assert.match(used.cpu.stat, /^nr_periods \d+$/m);

  await daemon.write(documentOf(daemon.repository, app('1.0.0', 40_000_000)));
  await daemon.until('the new limit', ({ converged, generation }) => converged && generation === 2);
  assert.equal(memoryLimit(daemon), '39997440');
  const adopted = await succeed(daemon);
  assert.equal(adopted.containers['app']?.pid, pid);
  assert.deepEqual(leaves(groupOf(daemon, 'app', 'memory')), leaf);

  await daemon.write(documentOf(daemon.repository, app('1.1.0', 40_000_000)));
  await running(daemon, '1.1.0');
  await daemon.until('converged', ({ converged }) => converged);
  assert.equal(leaves(groupOf(daemon, 'app', 'memory')).length, 1);
  assert.notDeepEqual(leaves(groupOf(daemon, 'app', 'memory')), leaf);
  assert.equal(memoryLimit(daemon), '39997440');

  assert.equal(await daemon.stop(), 0, daemon.log());
  assert.equal(existsSync(groupOf(daemon, 'app', 'memory')), false);
  assert.deepEqual(await leftovers(daemon.mark, before), []);
});

test('a process that takes more memory than its container may is killed, and the console tells what the groups count', async () => {
  const packages = [await probePackage({ name: 'eater' })];
  const document = (directory: string) => documentOf(directory, eater('[signals, child-eats, "64", raise, "9"]'));
  await using daemon = await startDaemon({ packages, document });
  await daemon.untilContainer('eater', 'runs', ({ phase }) => phase === 'Running');
  const client = await connectConsole(daemon.console, { subscribe: true });
  await client.call('kill', { container: 'eater:1.0.0', signal: 15, lifetime: undefined });
  const told: unknown[] = [];
  for await (const notification of client.notifications()) {
    if (typeof notification === 'object' && 'c_group' in notification) told.push(notification.c_group);
    if (typeof notification === 'object' && 'exit' in notification) break;
  }
  client.close();
  const [[container, { memory }] = ['', { memory: {} }]] = told as [
    string,
    { memory: Record<string, number | null> },
  ][];
  assert.deepEqual([told.length, container, memory['oom_kill']], [1, 'eater:1.0.0', 1]);
  const met = ['low', 'max', 'oom'].map((name) => memory[name]);
  if (versionOf(hierarchies, 'memory') === 1) assert.deepEqual(met, [null, null, null]);
  else assert.ok(met[0] === 0 && Number(met[1]) > 0 && Number(met[2]) > 0, String(met));
  assert.equal(await daemon.stop(), 0, daemon.log());
});
