import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inside, oneByOne, outside, pieces, requests, stretches, together } from '../../../src/fetch/ranges.ts';

const block = 4096;

/** Blocks that are missing, many enough that each stretch of them may have a request of its own. */
function missingFrom(...runs: readonly (readonly [first: number, count: number])[]): (each: number) => boolean {
  return (each) => runs.some(([first, count]) => each >= first && each < first + count);
}

test('neighbours are one stretch, also over a gap of one block; wider gaps stay', () => {
  const isMissing = missingFrom([10, 16], [27, 20], [49, 16]);
  assert.deepEqual(stretches(100, block, oneByOne, isMissing), [
    { from: 10 * block, to: 47 * block },
    { from: 49 * block, to: 65 * block },
  ]);
});

test('the narrowest gaps are closed until there is no more than a request for each 64 KiB', () => {
  const isMissing = missingFrom([0, 15], [18, 1], [1000, 15]);
  assert.deepEqual(stretches(2000, block, oneByOne, isMissing), [
    { from: 0, to: 19 * block },
    { from: 1000 * block, to: 1015 * block },
  ]);
});

test('a gap of more than one part in a hundred of the whole stays', () => {
  const isMissing = missingFrom([0, 1], [22, 1], [1000, 1]);
  assert.equal(stretches(2000, block, oneByOne, isMissing).length, 3);
  assert.equal(stretches(2200, block, oneByOne, isMissing).length, 2);
});

test('there are never more than 600 stretches, and what is missing is in one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: 1, max: 97 }), (count, every) => {
      const isMissing = (each: number): boolean => (each * 7919) % 97 < every && each % 5 !== 0;
      const found = stretches(count, block, oneByOne, isMissing);
      assert.ok(found.length <= 600);
      const missing = Array.from({ length: count }, (_, each) => each).filter(isMissing);
      const covered = missing.filter((each) => found.some(({ from, to }) => from <= each * block && each * block < to));
      assert.equal(covered.length, missing.length);
    }),
    { numRuns: 20 },
  );
});

test('where many ranges are one request nothing is fetched in vain, unless there are too many', () => {
  const isMissing = missingFrom([10, 1], [12, 1], [20, 2]);
  assert.deepEqual(
    stretches(100, block, together, isMissing),
    [10, 12, 20].map((first) => ({ from: first * block, to: (first + (first === 20 ? 2 : 1)) * block })),
  );
  assert.equal(stretches(200_000, block, together, (each) => each % 3 === 0).length, together.most);
});

test('ranges are asked for together up to so many of them, and so many bytes', () => {
  const all = [0, 10, 20, 30, 40].map((from) => ({ from, to: from + 5 }));
  const lengths = (ranges: number, bytes: number): number[] =>
    requests(all, { ranges, bytes }).map((each) => each.length);
  assert.deepEqual(lengths(2, 1000), [2, 2, 1]);
  assert.deepEqual(lengths(100, 15), [3, 2]);
  assert.deepEqual(lengths(100, 4), [1, 1, 1, 1, 1]);
  assert.deepEqual(requests(all, { ranges: 3, bytes: 1000 }).flat(), all);
});

test('what two ranges share', () => {
  assert.deepEqual(inside({ from: 0, to: 10 }, { from: 5, to: 20 }), [{ from: 5, to: 10 }]);
  assert.deepEqual(inside({ from: 0, to: 10 }, { from: 10, to: 20 }), []);
});

test('a long stretch is cut into pieces', () => {
  assert.deepEqual(pieces([{ from: 5, to: 25 }], 10), [
    { from: 5, to: 15 },
    { from: 15, to: 25 },
  ]);
});

test('what lies outside of ranges', () => {
  assert.deepEqual(outside(0, 10, [{ from: 2, to: 4 }]), [
    { from: 0, to: 2 },
    { from: 4, to: 10 },
  ]);
  assert.deepEqual(outside(3, 4, [{ from: 2, to: 4 }]), []);
  assert.deepEqual(outside(3, 6, [{ from: 8, to: 9 }]), [{ from: 3, to: 6 }]);
});
