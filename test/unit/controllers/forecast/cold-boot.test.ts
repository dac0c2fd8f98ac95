import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coldBoot, createColdBoots, type BootStep } from '../../../../controllers/forecast/cold-boot.ts';
import type { ContainerEntry } from '../../../../state/desired.ts';
import { atOnce } from '../../../../state/in-slices.ts';
import type { ObservedPackage } from '../../../../state/observed.ts';
import { emptyState, type State } from '../../../../state/store.ts';
import { noHierarchies as hierarchies, packageOf, runningEntry as entry } from '../../../support/views.ts';

const given = { hierarchies, now: 0 };

/** `resource`: whose image it mounts. */
function found(name: string, version = '1.0.0', resource: string | null = null): ObservedPackage {
  const one = packageOf(version);
  const mounts = new Map(
    resource === null ? [] : [['/res', { type: 'resource', name: resource, version: '*', dir: '/', options: [] }]],
  ) as unknown as NonNullable<ObservedPackage['manifest']['mounts']>;
  return { ...one, id: `${name}:${version}`, name, manifest: { ...one.manifest, name, version, mounts } };
}

function stateOf(entries: readonly ContainerEntry[], packages: readonly ObservedPackage[]): State {
  const empty = emptyState();
  const repository = { id: 'system', type: 'fs', dir: '/system', verified: false, integrity: 'none' } as const;
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

/** The same state with other entries, and packages, for some names. */
function changed(state: State, entries: readonly ContainerEntry[], packages: readonly ObservedPackage[] = []): State {
  const { desired, observed } = state;
  return {
    ...state,
    desired: { ...desired, containers: new Map([...desired.containers, ...entries.map((e) => [e.key, e] as const)]) },
    observed: {
      ...observed,
      packages: new Map([...observed.packages, ...Map.groupBy(packages, ({ name }) => name)]),
    },
  };
}

const lines = (steps: readonly BootStep[]): string[] =>
  steps.map(({ step }) => `${step.op} ${step.op === 'mount' ? step.id : step.name}`);

/** Steps that are other objects than before. */
const made = (steps: readonly BootStep[], before: readonly BootStep[]): string[] =>
  lines(steps.filter((each) => !before.includes(each)));

const names = ['a', 'b', 'c', 'd'];

test('mounts come first, then what has no dependency, then what depends on that', () => {
  const state = stateOf(
    [entry('a', { dependsOn: new Map([['c', 'running']]) }), entry('b'), entry('c')],
    [found('a'), found('b'), found('c')],
  );
  assert.deepEqual(lines(coldBoot(state, given)), [
    ...['mount a:1.0.0', 'mount b:1.0.0', 'mount c:1.0.0'],
    ...['start b', 'start c', 'start a'],
  ]);
});

test('a chain of dependencies may be longer than calls can be nested', () => {
  const names = Array.from({ length: 3000 }, (_, place) => `n${place}`);
  const entries = names.map((name, place) =>
    entry(name, { dependsOn: new Map(place === 0 ? [] : [[`n${place - 1}`, 'running']]) }),
  );
  const steps = coldBoot(
    stateOf(
      entries.toReversed(),
      names.map((name) => found(name)),
    ),
    given,
  );
  assert.deepEqual(
    steps.flatMap(({ step }) => (step.op === 'start' ? [step.name] : [])),
    names,
  );
});

test('one more container is walked alone, one that goes leaves the others as they are', () => {
  const boots = createColdBoots();
  const packages = [...names, 'bb'].map((name) => found(name));
  const before = stateOf(
    names.map((name) => entry(name)),
    packages,
  );
  const first = atOnce(boots(before, given));
  const next = changed(before, [entry('bb')]);
  const second = atOnce(boots(next, given));
  assert.deepEqual(made(second, first), ['mount bb:1.0.0', 'start bb']);
  assert.deepEqual(lines(second), lines(coldBoot(next, given)));
  assert.deepEqual(atOnce(boots(before, given)), first);
});

test('with a package all are found anew that mount its image, and those that depend on it', () => {
  const boots = createColdBoots();
  const entries = [entry('a'), entry('b', { dependsOn: new Map([['a', 'running']]) }), entry('c')];
  const before = stateOf(entries, [found('a', '1.0.0', 'res'), found('b'), found('c'), found('res')]);
  const first = atOnce(boots(before, given));
  assert.deepEqual(lines(first).slice(0, 4), ['mount a:1.0.0', 'mount b:1.0.0', 'mount c:1.0.0', 'mount res:1.0.0']);
  const next = changed(before, [], [found('res', '2.0.0')]);
  const second = atOnce(boots(next, given));
  assert.deepEqual(made(second, first).sort(), [
    ...['mount a:1.0.0', 'mount b:1.0.0', 'mount res:2.0.0', 'start a', 'start b'],
  ]);
});

test('a resource that nobody mounts any more is not mounted', () => {
  const boots = createColdBoots();
  const packages = [found('a', '1.0.0', 'res'), found('b'), found('res')];
  const both = stateOf([entry('a'), entry('b')], packages);
  assert.equal(lines(atOnce(boots(both, given))).includes('mount res:1.0.0'), true);
  const { a, ...rest } = Object.fromEntries(both.desired.containers);
  assert.notEqual(a, undefined);
  const without = { ...both, desired: { ...both.desired, containers: new Map(Object.entries(rest)) } };
  assert.deepEqual(lines(atOnce(boots(without, given))), ['mount b:1.0.0', 'start b']);
});

test('what holds for everybody finds everybody anew', () => {
  const boots = createColdBoots();
  const state = stateOf(
    names.map((name) => entry(name)),
    names.map((name) => found(name)),
  );
  const first = atOnce(boots(state, given));
  const second = atOnce(boots({ ...state, clock: { boot: 'other', distance: 0 } }, given));
  assert.deepEqual(made(second, first), lines(first));
});

test('one that is given up in the middle changes nothing of what is known', () => {
  const boots = createColdBoots();
  const before = stateOf(
    names.map((name) => entry(name)),
    names.map((name) => found(name)),
  );
  const first = atOnce(boots(before, given));
  const next = changed(before, [entry('e')], [found('e')]);
  const begun = boots(next, given);
  begun.next();
  begun.return([]);
  assert.deepEqual(made(atOnce(boots(next, given)), first), ['mount e:1.0.0', 'start e']);
});
