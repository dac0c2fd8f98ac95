import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createThreshold } from '../../../src/runtime/threshold.ts';

test('behind a bar nobody enters, and whoever is within comes to its end', async () => {
  const threshold = createThreshold();
  const leave = await threshold.enter();
  const open = threshold.bar();
  let entered = 0;
  const later = [1, 2].map(async () => {
    const over = await threshold.enter();
    entered += 1;
    return over;
  });
  await turn();
  assert.deepEqual([entered, threshold.within()], [0, 1]);
  leave();
  await turn();
  assert.deepEqual([entered, threshold.within()], [0, 0]);
  open();
  for (const over of await Promise.all(later)) over();
  assert.deepEqual([entered, threshold.within()], [2, 0]);
});
