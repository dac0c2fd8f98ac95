// The status as it was told last goes on into the next process, however many changes there were since somebody listened first.
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { test } from 'node:test';
import { createMemoryFile } from '../../../native/memfd.ts';
import { openKeptValue } from '../../../src/daemon/kept-value.ts';
import { createStatusChanges, type NumberedStatus } from '../../../src/runtime/status-changes.ts';
import { createStore } from '../../../state/store.ts';

const most = 10;

test('each of fifty processes begins with the status that the one before it has told', () => {
  const [journal, base] = [createMemoryFile('journal of a test'), createMemoryFile('status of a test')];
  try {
    for (let life = 0; life < 50; life += 1) {
      const store = createStore();
      const value = openKeptValue<NumberedStatus>(base);
      const changes = createStatusChanges({ store, fd: journal, base: value, first: 1000, most });
      assert.equal(store.get().status.generation, life);
      const told: number[] = [];
      changes.subscribe(({ sequence }) => told.push(sequence));
      store.update((draft) => {
        draft.status.generation = life + 1;
      });
      assert.deepEqual(told, [1000 + life]);
    }
  } finally {
    for (const fd of [journal, base]) closeSync(fd);
  }
});

test('whoever settles before its end leaves the status as it is, and no changes to be made anew', () => {
  const [journal, base] = [createMemoryFile('journal of a test'), createMemoryFile('status of a test')];
  try {
    const store = createStore();
    const value = openKeptValue<NumberedStatus>(base);
    const changes = createStatusChanges({ store, fd: journal, base: value, first: 1000, most });
    changes.settle();
    assert.equal(value.get(), null);
    changes.subscribe(() => undefined);
    for (const generation of [1, 2, 3]) {
      store.update((draft) => {
        draft.status.generation = generation;
      });
    }
    changes.settle();
    const { sequence, status } = openKeptValue<NumberedStatus>(base).get() ?? {};
    assert.deepEqual([sequence, status?.generation], [1002, 3]);
    assert.equal(changes.journal.since(999)?.length, 3);
  } finally {
    for (const fd of [journal, base]) closeSync(fd);
  }
});
