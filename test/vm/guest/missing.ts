// A kernel without the memory controller: what does not need it runs, what does says so. Runs in the guest.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { versionOf } from '../../../controllers/cgroups/cgroup-hierarchies.ts';
import { northstate, run } from '../../support/command.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';

test('a limit whose controller the kernel lacks is refused by name, and other containers run', async () => {
  assert.equal(versionOf(detectHierarchies(), 'memory'), null);
  const before = openDescriptors();
  const packages = await Promise.all(['plain', 'weighed', 'limited'].map((name) => probePackage({ name })));
  const entries = [
    'plain: { state: running }',
    'weighed: { state: running, cgroups: { cpu: { shares: 512 } } }',
    'limited: { state: running, cgroups: { memory: { memory_hard_limit: 50000000 } } }',
  ];
  await using daemon = await startDaemon({ packages, document: (directory) => documentOf(directory, ...entries) });
  for (const name of ['plain', 'weighed']) {
    await daemon.untilContainer(name, 'runs', ({ phase }) => phase === 'Running');
  }
  const { conditions, pid } = await daemon.untilContainer('limited', 'has failed', ({ phase }) => phase === 'Failed');
  assert.equal(pid, null);
  const messages = conditions.map(({ message }) => message).join('\n');
  assert.match(messages, /this host has no memory controller in cgroup v1 or v2/);
  const { code, stdout, stderr } = await daemon.run('describe', 'limited');
  assert.equal(code, 0, stderr);
  assert.match(stdout, /no memory controller/);
  assert.equal(await daemon.stop(), 0, daemon.log());
  assert.deepEqual(await leftovers(daemon.mark, before), []);
});

test('northstate check says which controller the kernel lacks, and what brings it', async () => {
  const { code, stdout } = await run(northstate, ['check']);
  assert.equal(code, 0);
  assert.match(stdout, /^ +memory +not there +containers with cgroups\.memory do not start +CONFIG_MEMCG$/m);
});
