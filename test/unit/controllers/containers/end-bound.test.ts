// How long an end may take: the longest chain of containers that depend on each other, each with its grace.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endBound, overdueAt, unendingAt } from '../../../../controllers/containers/end-bound.ts';
import type { View } from '../../../../controllers/controller.ts';
import type { ObservedAttempt } from '../../../../state/observed.ts';

const killTime = 10_000;

/** A name that runs with this grace, and that these depend on. */
function viewOf(grace: number | null, ...dependentsUp: readonly string[]): View {
  const attempts = grace === null ? [] : [{ version: 'x:1.0.0', record: { onStop: { signal: 15, grace } } }];
  return { attempts, targets: [], dependentsUp } as unknown as View;
}

test('the longest chain counts, not the number of containers', () => {
  const views: Readonly<Record<string, View>> = {
    base: viewOf(1000, 'middle', 'other'),
    middle: viewOf(5000, 'top'),
    top: viewOf(2000),
    other: viewOf(3000),
    idle: viewOf(null),
  };
  const bound = endBound(Object.keys(views), (name) => views[name] ?? assert.fail(name));
  assert.equal(bound, 8000 + 3 * killTime);
});

test('what depends on itself has an end, and so has nothing', () => {
  const views: Readonly<Record<string, View>> = { a: viewOf(1000, 'b'), b: viewOf(1000, 'a') };
  assert.equal(
    endBound(['a', 'b'], (name) => views[name] ?? assert.fail(name)),
    2000 + 2 * killTime,
  );
  assert.equal(
    endBound([], () => assert.fail('a view')),
    killTime,
  );
});

test('a container that runs on after its kill is given up some time later', () => {
  const attempt = (state: string, stop: object | null) => ({ state, record: { stop } }) as unknown as ObservedAttempt;
  assert.equal(unendingAt(attempt('running', { deadline: 500, killed: true })), 500 + killTime);
  assert.equal(overdueAt(attempt('running', { deadline: 500, killed: true })), 1500);
  assert.equal(unendingAt(attempt('running', { deadline: 500, killed: false })), null);
  assert.equal(unendingAt(attempt('running', null)), null);
  assert.equal(unendingAt(attempt('exited', { deadline: 500, killed: true })), null);
});
