import assert from 'node:assert/strict';
import { closeSync, fstatSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { createMemoryFile } from '../../../native/memfd.ts';
import { openJournal } from '../../../src/runtime/journal.ts';

const most = 50;

test('numbers go on without a gap over a hundred processes, killed while they write or not', () => {
  const fd = createMemoryFile('journal of a test');
  try {
    for (let life = 0; life < 100; life += 1) {
      const journal = openJournal<{ readonly n: number }>({ fd, first: 1000, most });
      assert.equal(journal.last(), 999 + 2 * life);
      for (const n of [2 * life, 2 * life + 1]) assert.equal(journal.add({ n }), 1000 + n);
      // What follows the last whole line was being written.
      if (life % 3 === 0) writeSync(fd, Buffer.from('{"n":'), 0, 5, fstatSync(fd).size);
    }
    const journal = openJournal<{ readonly n: number }>({ fd, first: 1000, most });
    assert.deepEqual(
      journal.all().map(({ n }) => n),
      Array.from({ length: most }, (_, index) => 200 - most + index),
    );
    assert.deepEqual(journal.since(1196), [{ n: 197 }, { n: 198 }, { n: 199 }]);
    assert.deepEqual(journal.since(1199), []);
    assert.equal(journal.since(1000), null);
    assert.equal(journal.since(1200), null);
  } finally {
    closeSync(fd);
  }
});
