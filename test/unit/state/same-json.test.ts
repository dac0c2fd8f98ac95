import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { sameJson } from '../../../state/same-json.ts';

test('it says of JSON what util.isDeepStrictEqual says', () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  fc.assert(
    fc.property(value, value, (one, other) => {
      // JSON has no other zero, and no prototypes.
      const [a, b] = [one, other].map((each) => JSON.parse(JSON.stringify(each)) as unknown);
      assert.equal(sameJson(a, b), isDeepStrictEqual(a, b));
      assert.ok(sameJson(a, structuredClone(a)));
      assert.equal(sameJson([a, { b }], [b, { b: a }]), isDeepStrictEqual([a, { b }], [b, { b: a }]));
    }),
  );
});

test('a member that is missing is not one that is undefined, and a list is no object', () => {
  assert.equal(sameJson({ a: undefined }, { b: undefined }), false);
  assert.equal(sameJson([], {}), false);
  assert.equal(sameJson(null, {}), false);
  assert.equal(sameJson({ a: [1, { b: null }] }, { a: [1, { b: null }] }), true);
  assert.equal(sameJson(Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }), true);
});
