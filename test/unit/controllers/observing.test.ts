import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createObserving } from '../../../controllers/observing.ts';
import { createStore } from '../../../state/store.ts';

/** A store that says of each change which entries it concerns. */
function observed() {
  const store = createStore();
  const told: string[][] = [];
  store.subscribe((operations) => void told.push(operations.map(({ path }) => path)));
  const note = (name: string) => store.observe('ran', name, { run: null, exit: null, attempt: 1 });
  return { observing: createObserving(store), told, note };
}

test('a change is made at once as long as not many are', async () => {
  const { observing, told, note } = observed();
  const made = observing.soon(() => note('a'));
  assert.deepEqual(told, [['/observed/ran/a']]);
  await made;
  await assert.rejects(
    observing.soon(() => assert.fail('unreadable')),
    /unreadable/,
  );
});

test('of many, those of one turn are told as one change, before any of them goes on; one that fails keeps no other', async () => {
  const { observing, told, note } = observed();
  observing.many();
  const seen: number[] = [];
  const all = ['a', 'b', 'c'].map((name) =>
    observing
      .soon(() => {
        if (name === 'b') throw new Error(`${name} is unreadable`);
        note(name);
      })
      .finally(() => void seen.push(told.length)),
  );
  assert.deepEqual(told, []);
  const results = await Promise.allSettled(all);
  assert.deepEqual(told, [['/observed/ran/a', '/observed/ran/c']]);
  assert.deepEqual(seen, [1, 1, 1]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  await observing.soon(() => note('d'));
  assert.deepEqual(told.slice(1), [['/observed/ran/d']]);
});
