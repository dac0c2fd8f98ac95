// After each kind of fault and the end of the runtime, no loop device, mount, control group, process, socket or descriptor
// of it is left.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, rmdirSync } from 'node:fs';
import { appendFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTree } from '../../../controllers/cgroups/cgroup-groups.ts';
import { openPlaces } from '../../../controllers/cgroups/cgroup-places.ts';
import { removeBelow } from '../../../controllers/cgroups/cgroup-subtree.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';

const fine = await probePackage({ name: 'fine' });
const crashing = await probePackage({ name: 'crashing', args: ['exit', '3'] });
const deaf = await probePackage({ name: 'deaf', args: ['ignore', '15', 'print', '1', 'deaf', 'sleep'] });
const hungry = await probePackage({
  name: 'hungry',
  args: ['eat', '64', 'sleep'],
  fields: 'cgroups: { memory: { memory_hard_limit: 8000000 } }\n',
});
const without = await probePackage({ name: 'without', fields: 'init: /nothing-here\n' });
const needy = await probePackage({
  name: 'needy',
  fields: 'mounts: { /data: { type: resource, name: nowhere, version: ^1, dir: / } }\n',
});
const flooding = await probePackage({ name: 'flooding', args: ['flood'] });
const parent = await probePackage({ name: 'parent', args: ['orphans', '20', 'sleep'] });

interface Fault {
  readonly packages: readonly string[];
  /** The container that the document runs besides `fine`; its entry's fields. */
  readonly entry?: string;
  readonly happens: (daemon: Daemon) => Promise<unknown>;
}

const runs = (daemon: Daemon, name = 'fine'): Promise<unknown> =>
  daemon.untilContainer(name, 'runs', ({ phase }) => phase === 'Running');

const faults: Record<string, Fault> = {
  'nothing at all': { packages: [fine], happens: (daemon) => runs(daemon) },
  'a crash loop': {
    packages: [fine, crashing],
    entry: 'crashing: { version: ^1, state: running, restart: { policy: always, backoff: 10ms, maxBackoff: 20ms } }',
    happens: (daemon) => daemon.untilContainer('crashing', 'has crashed five times', ({ restarts }) => restarts >= 5),
  },
  'an application that ignores TERM': {
    packages: [fine, deaf],
    entry: 'deaf: { version: ^1, state: running, stop: { signal: TERM, grace: 200ms } }',
    happens: (daemon) => runs(daemon, 'deaf'),
  },
  'an application that takes more memory than it may': {
    packages: [fine, hungry],
    entry: 'hungry: { version: ^1, state: running, restart: { policy: never } }',
    happens: (daemon) => daemon.untilContainer('hungry', 'was killed', ({ lastExit }) => lastExit !== null),
  },
  'an init that is not there': {
    packages: [fine, without],
    entry: 'without: { version: ^1, state: running }',
    happens: (daemon) =>
      daemon.untilContainer('without', 'has failed', ({ phase }) => phase === 'Failed' || phase === 'Backoff'),
  },
  'a resource that is not installed': {
    packages: [fine, needy],
    entry: 'needy: { version: ^1, state: running }',
    happens: (daemon) => runs(daemon),
  },
  'a flood of output': {
    packages: [fine, flooding],
    entry: 'flooding: { version: ^1, state: running }',
    happens: (daemon) => runs(daemon, 'flooding'),
  },
  'orphans in a container': {
    packages: [fine, parent],
    entry: 'parent: { version: ^1, state: running }',
    happens: (daemon) => runs(daemon, 'parent'),
  },
  'garbage in the repository': {
    packages: [fine],
    async happens(daemon) {
      await writeFile(join(daemon.repository, 'garbage.npk'), 'no package at all');
      await runs(daemon);
    },
  },
  'a broken document': {
    packages: [fine],
    async happens(daemon) {
      await runs(daemon);
      await appendFile(daemon.document, 'containers: [\n');
      await daemon.until('the document is invalid', ({ document }) => document.status === 'invalid');
    },
  },
  'a package that is deleted while it runs': {
    packages: [fine],
    async happens(daemon) {
      await runs(daemon);
      await rm(join(daemon.repository, 'fine-1.0.0.npk'));
      await daemon.until('no package is left', ({ repositories }) => repositories['packages']?.packages === 0);
    },
  },
  'the death of the reconciler': {
    packages: [fine],
    async happens(daemon) {
      await runs(daemon);
      const reconciler = daemon.reconciler();
      assert.ok(reconciler !== null);
      process.kill(reconciler, 'SIGKILL');
    },
  },
};

for (const [name, { packages, entry, happens }] of Object.entries(faults))
  test(`leaves nothing behind after ${name}`, async () => {
    const containers = ['fine: { version: ^1, state: running }', ...(entry === undefined ? [] : [entry])];
    const before = openDescriptors();
    await using daemon = await startDaemon({
      packages,
      document: (repository) => documentOf(repository, ...containers),
    });
    await happens(daemon);
    assert.equal(await daemon.stop(), 0, daemon.log());
    assert.deepEqual(await leftovers(daemon.mark, before), []);
  });

test('leaves only files and control groups when the launcher is killed, and nothing after the next run', async () => {
  const before = openDescriptors();
  await using killed = await startDaemon({
    packages: [fine],
    document: (repository) => documentOf(repository, 'fine: { version: ^1, state: running }'),
  });
  await runs(killed);
  process.kill(killed.pid, 'SIGKILL');
  await killed.exited;
  const left = await leftovers(killed.mark, before, 1000);
  assert.deepEqual(
    left.filter((line) => !line.startsWith('control group')),
    [],
  );

  await using next = await startDaemon({ packages: [], directory: killed.directory });
  await runs(next);
  assert.equal(await next.stop(), 0, next.log());
  assert.deepEqual(await leftovers(next.mark, before), []);
});

test('groups that others have made deeper than a path is long are no reason to find nothing', async () => {
  const { all } = createTree({ hierarchies: detectHierarchies(), root: '', owner: '', places: openPlaces(null) });
  const before = openDescriptors();
  const top = join(all[0]?.mount ?? '', `northstate-test-${randomUUID()}`);
  const [name, levels] = ['x'.repeat(250), 20];
  mkdirSync(top);
  let at = openSync(top, 'r');
  for (let level = 0; level < levels; level++) {
    mkdirSync(`/proc/self/fd/${at}/${name}`);
    const next = openSync(`/proc/self/fd/${at}/${name}`, 'r');
    closeSync(at);
    at = next;
  }
  closeSync(at);
  try {
    assert.deepEqual(await leftovers(randomUUID(), before), []);
  } finally {
    assert.equal((await removeBelow(top, () => undefined)).removed, levels);
    rmdirSync(top);
  }
});
