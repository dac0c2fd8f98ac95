import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { check } from '../../../../state/schema/check-value.ts';
import { checkedEntry } from '../../../../state/schema/checked-entry.ts';
import { containerSchema } from '../../../../state/schema/document-schema.ts';
import { toTree } from '../../../../state/text/tree.ts';

const path = ['containers', 'a'];

/** Values of fields of every kind; the last one is refused. */
const values: Readonly<Record<string, readonly unknown[]>> = {
  version: ['1.0.0', '^2', 'no version'],
  state: ['running', 'mounted', 'asleep'],
  run: [1, 2, { id: 3, args: ['a'], env: { A: 'b' } }, -1],
  restart: [{ policy: 'never' }, { policy: 'on-failure', backoff: '1s' }, { policy: 'sometimes' }],
  env: [{ A: '1' }, { A: null, B: '2' }, { 'A=': '1' }],
  settle: ['5s', '5 apples'],
  dependsOn: [{ other: 'ready' }, { other: 'awake' }],
  prepare: [true, 'auto', 'never'],
  lock: [{ max: '1m' }, { max: '1m', file: '/run/lock' }, {}],
  rlimits: [{ nofile: { soft: 1, hard: 2 } }, { nofile: 3 }],
  persist: [{ snapshot: true }, null],
};

const seldom = <T, S>(often: fc.Arbitrary<T>, other: fc.Arbitrary<S>) =>
  fc.oneof({ weight: 20, arbitrary: often }, { weight: 1, arbitrary: other });

const fields = fc.record(
  Object.fromEntries(
    Object.entries(values).map(([key, all]) => {
      return [key, seldom(fc.constantFrom(...all.slice(0, -1)), fc.constant(all.at(-1)))];
    }),
  ),
  { requiredKeys: [] },
);
const entry = fc
  .tuple(fields, seldom(fc.constant({}), fc.constant({ unknown: 'field' })))
  .map(([known, unknown]) => ({ ...known, ...unknown }));

test('an entry that changes step by step says at each what it says by itself, and is refused for the same', () => {
  let good = 0;
  fc.assert(
    fc.property(fc.array(entry, { minLength: 2, maxLength: 6 }), (steps) => {
      let before = toTree({});
      for (const step of steps) {
        const tree = toTree(step);
        const whole = check(containerSchema, tree, path);
        assert.deepEqual(checkedEntry(tree, before, path), whole);
        if (!('value' in whole)) continue;
        before = tree;
        good++;
      }
    }),
    { numRuns: 1000 },
  );
  assert.ok(good > 100, `${good} entries were good`);
});

test('what a command does not change of an entry stays the same object', () => {
  const said = (tree: unknown, before: ReturnType<typeof toTree>) => {
    const made = toTree(tree);
    const checked = checkedEntry(made, before, path);
    assert.ok('value' in checked);
    return { tree: made, value: checked.value };
  };
  const rest = { rlimits: { nofile: { soft: 1, hard: 2 } }, env: { A: '1' } };
  const first = said({ ...rest, run: 1 }, toTree(rest));
  const second = said({ ...rest, run: 2, state: 'mounted' }, first.tree);
  assert.equal(second.value.run, 2);
  assert.equal(second.value.state, 'mounted');
  assert.equal(second.value.rlimits, first.value.rlimits);
  assert.equal(second.value.env, first.value.env);
  assert.deepEqual(said(rest, second.tree).value, said(rest, toTree({})).value);
});
