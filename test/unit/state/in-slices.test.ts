import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce, inSlices, type Sliced } from '../../../state/in-slices.ts';

function* counting(to: number, each: () => void): Sliced<number> {
  let sum = 0;
  for (let number = 1; number <= to; number += 1) {
    yield;
    each();
    sum += number;
  }
  return sum;
}

/** Lets some time pass, as a computation does. */
function compute(): void {
  for (const until = performance.now() + 0.5; performance.now() < until;);
}

test('slice by slice a computation comes to the same as at once, and the loop has its turns', async () => {
  let turns = 0;
  const other = setInterval(() => (turns += 1), 1);
  assert.equal(await inSlices(counting(100, compute)), atOnce(counting(100, () => undefined)));
  clearInterval(other);
  assert.ok(turns >= 5, `${turns} turns`);
});

test('what is of no use any more is not gone on with', async () => {
  let steps = 0;
  const each = (): void => {
    steps += 1;
    compute();
  };
  assert.equal(await inSlices(counting(1000, each), () => steps < 10), null);
  assert.ok(steps < 1000, `${steps} steps`);
});
