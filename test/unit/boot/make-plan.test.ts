import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createUnits } from '../../../src/boot/make-plan.ts';
import type { PlanPorts } from '../../../src/boot/unit-deeds.ts';
import { openPlan } from '../../../native/wire/boot-plan.ts';
import type { ContainerEntry } from '../../../state/desired.ts';
import { atOnce } from '../../../state/in-slices.ts';
import type { ObservedPackage } from '../../../state/observed.ts';
import { emptyState, type State } from '../../../state/store.ts';
import { noHierarchies as hierarchies, packageOf, runningEntry as entry } from '../../support/views.ts';

const directory = mkdtempSync(join(tmpdir(), 'make-plan-'));
after(() => rmSync(directory, { recursive: true }));

/** Its file is there. */
function found(name: string, bind: string | null = null): ObservedPackage {
  const one = packageOf('1.0.0');
  const path = join(directory, `${name}.npk`);
  writeFileSync(path, name, { flag: 'a' });
  const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
  const mounts = new Map(bind === null ? [] : [['/bound', { type: 'bind', host: bind, options: [] }]]) as unknown;
  const manifest = { ...one.manifest, name, mounts: mounts as NonNullable<ObservedPackage['manifest']['mounts']> };
  return { ...one, id: `${name}:1.0.0`, name, path, manifest, identity: { dev, ino, size, mtimeMs, ctimeMs } };
}

function stateOf(entries: readonly ContainerEntry[], packages: readonly ObservedPackage[]): State {
  const empty = emptyState();
  const repository = { id: 'system', type: 'fs', dir: directory, verified: false, integrity: 'none' } as const;
  const nothing = { packages: 0, size: 0, broken: [], error: null, stale: false } as const;
  return {
    ...empty,
    desired: { ...empty.desired, containers: new Map(entries.map((each) => [each.key, each])) },
    observed: {
      ...empty.observed,
      repositories: new Map([['system', { ...repository, ...nothing }]]),
      packages: Map.groupBy(packages, ({ name }) => name),
    },
  };
}

/** Plans one after the other, and of which containers a sandbox was put together anew for each. */
function planner() {
  const units = createUnits();
  let made: string[] = [];
  const ports: PlanPorts = {
    ...{ dataDir: '/data', socketDir: '/sockets', outputSize: 4096, selinux: false, hierarchies },
    ...{ runDir: '/run/x', mountsDir: '/run/x/mounts', pathOf: (id) => `/run/x/mounts/${id}` },
    ...{ roots: () => [], before: [] },
    groups(name, attempt) {
      made.push(`${name} ${attempt}`);
      return { deeds: [], directory: null, procs: [], oom: null, limits: [], looks: [] };
    },
  };
  return (state: State) => {
    made = [];
    const plan = openPlan({
      ...{ runtime: '1', kernel: '6', machine: 'm', source: new Uint8Array(), generation: 1 },
      document: { path: '/d', text: null },
    });
    const { started, left } = atOnce(units(state, ports, plan.add));
    return { started, left: [...left], made, plan: Buffer.from(plan.end()).toString('latin1') };
  };
}

test('a container more or less costs its own unit, and the others say the same wherever they stand', () => {
  const make = planner();
  const packages = ['a', 'b', 'c', 'd'].map((name) => found(name));
  const all = stateOf(
    ['a', 'b', 'c', 'd'].map((name) => entry(name)),
    packages,
  );
  const of = (...names: string[]): State => {
    const containers = new Map([...all.desired.containers].filter(([name]) => names.includes(name)));
    return { ...all, desired: { ...all.desired, containers } };
  };
  const first = make(of('a', 'c', 'd'));
  assert.deepEqual(first.made, ['a 1', 'c 2', 'd 3']);
  const second = make(of('a', 'b', 'c', 'd'));
  assert.deepEqual([second.started, second.made], [4, ['b 4']]);
  const third = make(of('a', 'c', 'd'));
  assert.deepEqual([third.started, third.made, third.plan], [3, [], first.plan]);
  // The number of one that has gone is free.
  assert.deepEqual(make(of('a', 'd')).made, []);
  assert.deepEqual(make(of('a', 'b', 'd')).made, ['b 2']);
});

test('what the host has is looked at for each plan', () => {
  const make = planner();
  const bound = join(directory, 'bound');
  writeFileSync(bound, '');
  const state = stateOf([entry('e')], [found('e', bound)]);
  assert.deepEqual(make(state).made, ['e 1']);
  assert.deepEqual(make(state).made, []);
  rmSync(bound);
  assert.deepEqual(make(state).left, [['e', `${bound} is not on the host`]]);
  writeFileSync(bound, '');
  assert.equal(make(state).started, 1);
});

test('an image whose file is another one now is left, and so is its container', () => {
  const package_ = found('f');
  appendFileSync(package_.path, 'more');
  assert.deepEqual(planner()(stateOf([entry('f')], [package_])).left, [
    ['f:1.0.0', 'its file has changed, or is checked as a whole before it is mounted'],
    ['f', 'f:1.0.0 is not in the plan'],
  ]);
});
