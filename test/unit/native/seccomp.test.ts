import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileFilter, type FilterRule } from '../../../native/seccomp.ts';
import { decide } from './bpf.ts';

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const numbers = process.arch === 'arm64' ? { read: 63, write: 64, ioctl: 29 } : { read: 0, write: 1, ioctl: 16 };
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
let keys = 0;

function compiled(rules: Record<string, FilterRule>): Uint8Array {
  return compileFilter(String(++keys), () => new Map(Object.entries(rules)));
}

test('lets in what has a rule and kills for everything else', () => {
  const filter = compiled({ read: 'any' });
  assert.equal(decide(filter, { number: numbers.read }), ALLOW);
  assert.equal(decide(filter, { number: numbers.write }), KILL_PROCESS);
  assert.equal(decide(filter, { number: 100_000 }), KILL_PROCESS);
});

test('kills for calls of another architecture', () => {
  const i386 = 0x40000003;
  assert.equal(decide(compiled({ read: 'any' }), { number: numbers.read, arch: i386 }), KILL_PROCESS);
});

test('answers with an errno where a rule says so', () => {
  assert.equal(decide(compiled({ read: { errno: 38 } }), { number: numbers.read }), 0x00050000 + 38);
});

test('skips names that this architecture does not have', () => {
  const filter = compiled({ 'no such call': 'any', socketcall: 'any', read: 'any' });
  assert.equal(decide(filter, { number: numbers.read }), ALLOW);
});

test('compares all 64 bits of an argument with each value', () => {
  fc.assert(
    fc.property(fc.uniqueArray(uint64, { minLength: 1, maxLength: 5 }), uint64, fc.nat(5), (values, other, index) => {
      const filter = compiled({ ioctl: { anyOf: values.map((value) => ({ index, value })) } });
      for (const value of [...values, other]) {
        const args = [0n, 0n, 0n, 0n, 0n, 0n].with(index, value);
        assert.equal(decide(filter, { number: numbers.ioctl, args }), values.includes(value) ? ALLOW : KILL_PROCESS);
      }
    }),
    { numRuns: 50 },
  );
});

test('lets an argument in that has no bit outside of a mask', () => {
  fc.assert(
    fc.property(uint64, uint64, (mask, value) => {
      const filter = compiled({ ioctl: { anyOf: [{ index: 1, mask }] } });
      const within = decide(filter, { number: numbers.ioctl, args: [0n, value & mask] });
      assert.equal(within, ALLOW);
      const any = decide(filter, { number: numbers.ioctl, args: [0n, value] });
      assert.equal(any, (value & ~mask) === 0n ? ALLOW : KILL_PROCESS);
    }),
    { numRuns: 50 },
  );
});

test('compiles what has the same key once', () => {
  const first = compileFilter('once', () => new Map([['read', 'any']]));
  const second = compileFilter('once', () => assert.fail('compiled again'));
  assert.equal(first, second);
});
