import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, watch } from 'node:fs';
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
