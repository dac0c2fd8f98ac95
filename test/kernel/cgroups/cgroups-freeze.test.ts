import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hierarchies, useControlGroups } from '../../support/control-groups.ts';

const { signal } = new AbortController();
const control = useControlGroups();

// The loop's one inotify instance is opened with the first watch and kept: it is no leak of the test that happens to be it.
watch(import.meta.dirname).close();

/** The host as one without a v2 tree: what is frozen is so by the v1 freezer. */
const legacyOnly = { ...hierarchies, unified: null, unifiedControllers: new Set<never>() };
const freezers = hierarchies.legacy.has('freezer') ? ([hierarchies, legacyOnly] as const) : ([hierarchies] as const);

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
    const line = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
    const own = line.find((each) => (version === 2 ? each.startsWith('0::') : each.split(':')[1] === 'freezer'));
    const mount = version === 2 ? (host.unified ?? '') : (host.legacy.get('freezer') ?? '');
    const below = join(mount, own?.split(':')[2] ?? '', 'own');
    for (let index = 0; index < 50; index++) mkdirSync(join(below, `${index}`), { recursive: true });
    writeFileSync(join(below, '7', 'cgroup.procs'), `${pid}`);
    writeFileSync(join(below, '7', version === 2 ? 'cgroup.freeze' : 'freezer.state'), version === 2 ? '1' : 'FROZEN');
    const removeLeaf = () => cgroups.act({ op: 'remove-leaf', name: 'app', attempt: 1, waits: null }, signal);
    const ended = once(child, 'exit');
    await removeLeaf().catch((error: unknown) => assert.match(String(error), /EBUSY/));
    await ended;
    await removeLeaf();
    assert.equal(existsSync(below), false);
    assert.deepEqual(cgroups.observeOne('app')?.leaves, []);
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
