import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeOps, stepName, type Op } from '../../../../native/wire/ops.ts';

const hex = (ops: readonly Op[]): string => Buffer.from(encodeOps(ops).bytes).toString('hex');

test('writes an empty list as a count of zero', () => {
  assert.equal(hex([]), '0000');
});

test('writes each op as its number, the length of its payload and the payload', () => {
  assert.equal(
    hex([{ op: 'pivot' }, { op: 'umask', mask: 0o22 }]),
    '0200' + '0e00' + '00000000' + '1800' + '04000000' + '12000000',
  );
  assert.equal(hex([{ op: 'hostname', name: 'ä' }]), '0100' + '0700' + '06000000' + '02000000' + 'c3a4');
});

test('writes a descriptor as its index among those that travel along, each once', () => {
  const { bytes, fds } = encodeOps([
    { op: 'root', fd: 40 },
    { op: 'tree', fd: 50, target: '/a' },
    { op: 'oom', fd: 40 },
  ]);
  assert.deepEqual(fds, [40, 50]);
  assert.equal(
    Buffer.from(bytes).toString('hex'),
    '0300' +
      '0800' +
      '02000000' +
      '0000' +
      '0900' +
      '08000000' +
      '0100' +
      '02000000' +
      '2f61' +
      '0500' +
      '02000000' +
      '0000',
  );
});

test('writes no limit as the largest number', () => {
  const text = hex([{ op: 'rlimit', resource: 7, soft: 64, hard: null }]);
  assert.equal(text, '0100' + '1400' + '14000000' + '07000000' + '4000000000000000' + 'ffffffffffffffff');
});

test('writes a negative nice value in two’s complement', () => {
  const text = hex([{ op: 'schedule', policy: 3, nice: -5, priority: 0 }]);
  assert.equal(text, '0100' + '1a00' + '0c000000' + '03000000' + 'fbffffff' + '00000000');
});

test('refuses a text with a NUL', () => {
  assert.throws(() => encodeOps([{ op: 'cwd', path: '/a\0b' }]), /contains a NUL/);
});

test('writes lists of any length', () => {
  const long = Array.from({ length: 500 }, (_, index) => `variable ${index}`);
  const { bytes } = encodeOps([{ op: 'exec', path: '/app', arguments: long, environment: [] }]);
  assert.equal(bytes.length, 2 + 6 + 4 + 4 + 4 + long.reduce((sum, text) => sum + 4 + text.length, 0) + 4);
});

test('names the step of a failure', () => {
  assert.equal(stepName(9), 'tree');
  assert.equal(stepName(40), 'exec');
  assert.equal(stepName(0x113), 'fork');
  assert.equal(stepName(999), 'step 999');
});
