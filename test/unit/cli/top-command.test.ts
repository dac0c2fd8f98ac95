// What top makes of two looks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { tableOf, takenBetween } from '../../../src/cli/top-command.ts';
import { containerStatus } from '../../support/console/fake-state.ts';

const counts = { cpuSeconds: 1, memoryBytes: 2048, memoryLimit: null, oomKills: 0, readBytes: 0, writtenBytes: 1000 };
const containers = { a: containerStatus('1.0.0'), b: containerStatus('1.0.0'), c: containerStatus('1.0.0') };

test('rates are by the time between, and nothing is made up', () => {
  const before = { at: 1000, status: { containers }, counts: { a: counts, b: counts } };
  const later = { ...counts, cpuSeconds: 2, memoryBytes: 3 * 1024 * 1024, writtenBytes: 5000 };
  const now = { at: 3000, status: { containers }, counts: { a: { ...counts, cpuSeconds: 0.5 }, b: later } };
  const taken = takenBetween(before, now);
  assert.deepEqual([taken['b']?.cpu, taken['b']?.writeRate, taken['b']?.readRate], [0.5, 2000, 0]);
  assert.equal(taken['a']?.cpu, 0, 'a group that was made anew');
  assert.deepEqual([taken['c']?.cpu, taken['c']?.memoryBytes], [null, null]);
  const [head = '', ...rows] = tableOf(taken).map(stripVTControlCharacters);
  assert.match(head, /^NAME +PHASE +CPU +MEMORY +LIMIT +READ\/s +WRITE\/s +OOM +RESTARTS$/);
  assert.deepEqual(
    rows.map((row) => row.split(/ +/)).map(([name, , cpu, memory]) => [name, cpu, memory]),
    [
      ['b', '50.0%', '3.0M'],
      ['a', '0.0%', '2.0K'],
      ['c', '-', '-'],
    ],
  );
});
