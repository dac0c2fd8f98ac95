import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mergeOperations } from '../../../../state/text/merge-patch.ts';
import { toJson } from '../../../../state/store.ts';
import { applyOperations, toTree } from '../../../../state/text/tree.ts';

function merged(target: unknown, patch: unknown): unknown {
  const tree = toTree(target);
  return JSON.parse(JSON.stringify(toJson(applyOperations(tree, mergeOperations(tree, patch)))));
}

test("a merge patch does what RFC 7386's examples say", () => {
  const examples: [unknown, unknown, unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, expected] of examples) assert.deepEqual(merged(target, patch), expected);
});

test('it agrees with the algorithm of the RFC on any values, and asks for nothing twice', () => {
  const value = fc.jsonValue({ maxDepth: 3, noUnicodeString: true });
  fc.assert(
    fc.property(value, value, (target, patch) => {
      const plain = JSON.parse(JSON.stringify([target, patch])) as [unknown, unknown];
      const expected = mergePatch(...plain);
      assert.deepEqual(merged(...plain), expected);
      if (!holdsNull(plain[1])) assert.deepEqual(mergeOperations(toTree(expected), plain[1]), []);
    }),
  );
});

/** RFC 7386, section 2, as it stands there. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const made = Object.assign(Object.create(null) as Record<string, unknown>, isObject(target) ? target : {});
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(made, name);
    else made[name] = mergePatch(made[name], value);
  }
  return JSON.parse(JSON.stringify(made)) as unknown;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function holdsNull(value: unknown): boolean {
  return JSON.stringify(value).includes('null');
}
