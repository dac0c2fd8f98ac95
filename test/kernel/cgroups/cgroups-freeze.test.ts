import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmdirSync, watch, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Hierarchies } from '../../../controllers/cgroups/cgroup-hierarchies.ts';
import { hierarchies, useControlGroups } from '../../support/control-groups.ts';

const { signal } = new AbortController();
const control = useControlGroups();

// The loop's one inotify instance is opened with the first watch and kept: it is no leak of the test that happens to be it.
watch(import.meta.dirname).close();

/** The host as one without a v2 tree: what is frozen is so by the v1 freezer. */
const legacyOnly = { ...hierarchies, unified: null, unifiedControllers: new Set<never>() };
const freezers = hierarchies.legacy.has('freezer') ? ([hierarchies, legacyOnly] as const) : ([hierarchies] as const);

/** The group in which a process is frozen. */
function groupOfFreezer({ unified, legacy }: Hierarchies, pid: number): string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  const own = lines.find((each) => (unified === null ? each.split(':')[1] === 'freezer' : each.startsWith('0::')));
  return join(unified ?? legacy.get('freezer') ?? '', own?.split(':')[2] ?? '');
}

function setFrozen(group: string, version: 1 | 2, frozen: boolean): void {
  if (version === 2) writeFileSync(join(group, 'cgroup.freeze'), frozen ? '1' : '0');
  else writeFileSync(join(group, 'freezer.state'), frozen ? 'FROZEN' : 'THAWED');
}

test('on cgroup v2 a name has so many groups and no more, and only its own runtime thaws them', async () => {
  assert.notEqual(hierarchies.unified, null, 'this machine has no v2 tree');
  const { open, start } = control();
  const cgroups = open();
  const leaf = await cgroups.leaf('app', 1, { cpu: { shares: 100 } });
  const child = start(leaf, 'sleep');
  leaf.close();
  const { pid = 0 } = child;
  const own = groupOfFreezer(hierarchies, pid);
  const made: string[] = [];
  const make = () => {
    for (let index = 0; index < 2000; index++) {
      mkdirSync(join(own, `${index}`));
      made.push(join(own, `${index}`));
    }
  };
  assert.throws(make, { code: 'EAGAIN' });
  made.forEach((group) => rmdirSync(group));
  await cgroups.act({ op: 'freeze', name: 'app', attempt: 1, pid, waits: null }, signal);
  await open(undefined, undefined, '/second').act({ op: 'thaw', name: 'app', attempt: 1, waits: null }, signal);
  assert.deepEqual([...(cgroups.observeOne('app')?.frozen ?? [])], [[1, 'frozen']]);
  const ended = once(child, 'exit');
  await cgroups.act({ op: 'end-leaf', name: 'app', attempt: 1, pid, waits: null }, signal);
  await ended;
});

for (const host of freezers) {
  const version = host.unified === null ? 1 : 2;
  const stateOf = ({ pid = 0 }: ChildProcess) =>
    /^State:\t(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];

  test(`what is frozen stands still with all that it has forked, and goes on when thawed (cgroup v${version})`, async () => {
    const { open, start } = control();
    const cgroups = open(host);
    const leaf = await cgroups.leaf('app', 1, { cpu: { shares: 100 } });
    const child = start(leaf, 'sleep');
    leaf.close();
    const { pid = 0 } = child;
    const freeze = () => cgroups.act({ op: 'freeze', name: 'app', attempt: 1, pid, waits: null }, signal);
    const thaw = () => cgroups.act({ op: 'thaw', name: 'app', attempt: 1, waits: null }, signal);
    assert.deepEqual([...(cgroups.observeOne('app')?.frozen ?? [])], []);
    await freeze();
    await freeze();
    assert.deepEqual([...(cgroups.observeOne('app')?.frozen ?? [])], [[1, 'frozen']]);
    assert.notEqual(stateOf(child), 'R');
    await thaw();
    await thaw();
    assert.deepEqual([...(cgroups.observeOne('app')?.frozen ?? [])], []);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  });

  test(`groups that a container has made and frozen below its own go with the leaf (cgroup v${version})`, async () => {
    const { open, start } = control();
    const cgroups = open(host);
    const leaf = await cgroups.leaf('app', 1, { cpu: { shares: 100 } });
    const child = start(leaf, 'sleep');
    leaf.close();
    const { pid = 0 } = child;
    // The leaf of the freezer is there once it was frozen.
    await cgroups.act({ op: 'freeze', name: 'app', attempt: 1, pid, waits: null }, signal);
    await cgroups.act({ op: 'thaw', name: 'app', attempt: 1, waits: null }, signal);
    const below = join(groupOfFreezer(host, pid), 'own');
    for (let index = 0; index < 50; index++) mkdirSync(join(below, `${index}`), { recursive: true });
    writeFileSync(join(below, '7', 'cgroup.procs'), `${pid}`);
    setFrozen(join(below, '7'), version, true);
    const removeLeaf = () => cgroups.act({ op: 'remove-leaf', name: 'app', attempt: 1, waits: null }, signal);
    const ended = once(child, 'exit');
    await removeLeaf().catch((error: unknown) => assert.match(String(error), /EBUSY/));
    await ended;
    await removeLeaf();
    assert.equal(existsSync(below), false);
    assert.deepEqual(cgroups.observeOne('app')?.leaves, []);
  });

  test(`what a kill has not ended is ended where it is, and named where that cannot be (cgroup v${version})`, async () => {
    const { open, start } = control();
    const cgroups = open(host);
    const leaf = await cgroups.leaf('app', 1, { cpu: { shares: 100 } });
    const child = start(leaf, 'sleep');
    leaf.close();
    const { pid = 0 } = child;
    await cgroups.act({ op: 'freeze', name: 'app', attempt: 1, pid, waits: null }, signal);
    await cgroups.act({ op: 'thaw', name: 'app', attempt: 1, waits: null }, signal);
    const own = groupOfFreezer(host, pid);
    mkdirSync(join(own, 'inner'));
    writeFileSync(join(own, 'inner', 'cgroup.procs'), `${pid}`);
    setFrozen(join(own, 'inner'), version, true);
    const ended = once(child, 'exit');
    const end = () => cgroups.act({ op: 'end-leaf', name: 'app', attempt: 1, pid, waits: null }, signal);
    if (version === 1) {
      // What lies above the leaf is nobody's to thaw.
      setFrozen(dirname(own), version, true);
      await assert.rejects(
        end(),
        new RegExp(`attempt 1 of app was killed and does not end: process ${pid} .* state D`),
      );
      setFrozen(dirname(own), version, false);
    }
    await end();
    await ended;
    await cgroups.act({ op: 'remove-leaf', name: 'app', attempt: 1, waits: null }, signal);
    assert.deepEqual(cgroups.observeOne('app')?.leaves, []);
  });

  test(`groups below a leaf go also where no path is long enough for them (cgroup v${version})`, async () => {
    const { open } = control();
    const cgroups = open(host);
    (await cgroups.leaf('app', 1, null, true)).close();
    const mount = version === 2 ? (host.unified ?? '') : (host.legacy.get('freezer') ?? '');
    let at = openSync(join(mount, control().root, 'container-app', '1'), 'r');
    for (let depth = 0; depth < 30; depth++) {
      mkdirSync(`/proc/self/fd/${at}/${'x'.repeat(200)}`);
      const below = openSync(`/proc/self/fd/${at}/${'x'.repeat(200)}`, 'r');
      closeSync(at);
      at = below;
    }
    closeSync(at);
    await cgroups.act({ op: 'remove-leaf', name: 'app', attempt: 1, waits: null }, signal);
    assert.deepEqual(cgroups.observeOne('app')?.leaves, []);
    assert.match(control().warnings.join(), /"groups":30/);
  });

  test(`a leaf is removed with what is frozen in it (cgroup v${version})`, async () => {
    const { open, start } = control();
    const cgroups = open(host);
    const leaf = await cgroups.leaf('app', 1, { cpu: { shares: 100 } });
    const child = start(leaf, 'sleep');
    leaf.close();
    await cgroups.act({ op: 'freeze', name: 'app', attempt: 1, pid: child.pid ?? 0, waits: null }, signal);
    const removeLeaf = () => cgroups.act({ op: 'remove-leaf', name: 'app', attempt: 1, waits: null }, signal);
    const ended = once(child, 'exit');
    await removeLeaf().catch((error: unknown) => assert.match(String(error), /EBUSY/));
    await ended;
    await removeLeaf();
    assert.deepEqual(cgroups.observeOne('app')?.leaves, []);
  });
}
