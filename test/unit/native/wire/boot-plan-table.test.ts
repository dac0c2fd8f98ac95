// Both sides have the same deeds, with the same fields in the same order.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deedTable, encodePlan, planLimits } from '../../../../native/wire/boot-plan.ts';

const table = readFileSync(join(import.meta.dirname, '../../../../native/player/deed-table.def'), 'utf8');

/** The letters of the player's table that may stand where a field of this name does. */
const letters: Readonly<Record<string, string>> = {
  ...{ slot: 's', from: 'f', path: 'pq', root: 'p', directory: 'p', mount: 'p', prefix: 'q', mark: 'q', rootHash: 'q' },
  ...{ salt: 'q', type: 'qn', options: 'q', name: 'q', group: 'q', leaf: 'q', text: 't', record: 't', bytes: 'b' },
  ...{ before: 'b', after: 'b', slots: 'l', file: 'p' },
};

test('each deed has the number and the fields of the player', () => {
  const rows = [...table.matchAll(/^DEED\((\d+), (\w+), \w+, "(\w+)"\)/gm)];
  assert.deepEqual(
    rows.map(([, number, name = '']) => [name.toLowerCase().replaceAll('_', '-'), Number(number)]),
    Object.entries(deedTable).map(([name, { number }]) => [name, number]),
  );
  for (const [, , name = '', fields = ''] of rows) {
    const key = name.toLowerCase().replaceAll('_', '-') as keyof typeof deedTable;
    const ours = Object.keys(deedTable[key].fields);
    assert.equal(ours.length, fields.length, name);
    ours.forEach((field, index) =>
      assert.match(letters[field] ?? 'n', new RegExp(fields[index] ?? '-'), `${name} ${field}`),
    );
  }
});

test('a plan over a limit of the player is not made', () => {
  const plan = {
    ...{ runtime: '1', kernel: '1', machine: '1', source: new Uint8Array() },
    ...{ document: { path: '/d', text: null }, generation: 1 },
  };
  const unit = { name: 'a', needs: [], deeds: [] };
  assert.throws(() => encodePlan({ ...plan, units: Array(planLimits.units + 1).fill(unit) }), RangeError);
  const needy = { ...unit, needs: Array<number>(planLimits.needs + 1).fill(0) };
  assert.throws(() => encodePlan({ ...plan, units: [needy] }), /more than 256/);
});
