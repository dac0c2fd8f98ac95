import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { enableMapSet, produce } from 'immer';
import { withEntry } from '../../../state/layered-map.ts';

const changes = fc.array(
  fc.record({ key: fc.integer({ min: 0, max: 60 }), value: fc.option(fc.integer(), { nil: undefined }) }),
  { maxLength: 120 },
);

test('a layered map has what a map has that is changed in the same way, and the one before stays as it was', () => {
  const first = new Map(Array.from({ length: 40 }, (_, i) => [i, i] as const));
  fc.assert(
    fc.property(changes, (made) => {
      let layered: ReadonlyMap<number, number> = new Map(first);
      const plain = new Map(first);
      for (const { key, value } of made) {
        const before = layered;
        const had = [...before];
        layered = withEntry(layered, key, value);
        if (value === undefined) plain.delete(key);
        else plain.set(key, value);
        assert.deepEqual([...before], had);
        assert.equal(layered.size, plain.size);
        assert.equal(layered.get(key), value);
        assert.equal(layered.has(key), value !== undefined);
      }
      const sorted = (map: ReadonlyMap<number, number>) => [...map].sort(([a], [b]) => a - b);
      assert.deepEqual(sorted(layered), sorted(plain));
      assert.deepEqual(sorted(new Map(layered)), sorted(plain));
      assert.deepEqual(new Set(layered.keys()), new Set(plain.keys()));
      assert.deepEqual([...layered.values()].sort(), [...plain.values()].sort());
    }),
  );
});

test('immer makes drafts of one, and nobody else changes it', () => {
  enableMapSet();
  const large = new Map(Array.from({ length: 40 }, (_, i) => [i, i] as const));
  const layered = withEntry(large, 1, 100);
  const next = produce({ map: layered as Map<number, number> }, ({ map }) => {
    assert.equal(map.get(1), 100);
    map.set(2, 200);
    map.delete(3);
  });
  assert.deepEqual([next.map.get(1), next.map.get(2), next.map.has(3), next.map.size], [100, 200, false, 39]);
  assert.deepEqual([layered.get(2), layered.has(3), layered.size], [2, true, 40]);
  assert.throws(() => (layered as Map<number, number>).set(1, 1), TypeError);
});
