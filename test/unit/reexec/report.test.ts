import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeReport, encodeReport, objection } from '../../../src/reexec/report.ts';

const report = { runtime: '0.2.0', generation: 4, containers: 2, steps: [] };
const at = (generation: number, ...moving: string[]) => ({ generation, moving: new Set(moving) });
const step = (op: string, name: string) => ({ op, name });

test('a successor that would do nothing of its own is none to object to', () => {
  assert.equal(objection(report, at(4)), null);
  assert.equal(objection({ ...report, generation: 5 }, at(4)), null);
  assert.equal(objection({ ...report, steps: [step('start', 'broker')] }, at(4, 'broker')), null);
});

test('what it would do that this one would not is named, and so is a generation that it does not understand', () => {
  const steps = [step('umount', 'a'), step('stop', 'broker'), step('start', 'c')];
  assert.equal(
    objection({ ...report, steps }, at(4, 'c')),
    'northstate 0.2.0 would do what this one would not: umount a, stop broker',
  );
  const many = Array.from({ length: 9 }, (_, index) => step('stop', `c-${index}`));
  assert.match(objection({ ...report, steps: many }, at(4)) ?? '', /stop c-4, and 4 more$/);
  assert.equal(
    objection({ ...report, generation: 3 }, at(4)),
    'northstate 0.2.0 understands generation 3, and not 4, which is in force',
  );
});

test('a report of a later version is read, what is none is not', () => {
  assert.deepEqual(decodeReport(encodeReport(report)), report);
  assert.deepEqual(decodeReport(Buffer.from(JSON.stringify({ ...report, newer: 1 }))), report);
  for (const text of ['', '{}', '[]', '{"runtime":1}']) assert.throws(() => decodeReport(Buffer.from(text)));
});
