import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  architectures,
  compileFilter,
  compileFor,
  describeFilter,
  hasCall,
  isSyscall,
  type Architecture,
} from '../../../native/seccomp-filter.ts';
import { newerCalls } from '../../../native/newer-calls.ts';
import { decide } from './bpf.ts';
import type { ArgumentTest, FilterRule } from '../../../native/seccomp-rules.ts';

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const numbers = process.arch === 'arm64' ? { read: 63, write: 64, ioctl: 29 } : { read: 0, write: 1, ioctl: 16 };
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
/** AUDIT_ARCH_* and the numbers of some calls (syscalls(2)). */
const machines = {
  x86_64: { arch: 0xc000003e, read: 0, ioctl: 16, clone3: 435 },
  aarch64: { arch: 0xc00000b7, read: 63, ioctl: 29, clone3: 435 },
} as const satisfies Record<Architecture, unknown>;
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

for (const architecture of architectures) {
  const { arch, read, ioctl, clone3 } = machines[architecture];
  const [other] = architectures.filter((each) => each !== architecture);

  test(`a filter for ${architecture} lets its calls in, by its numbers, and kills for those of another`, () => {
    const rules = new Map<string, FilterRule>([
      ['read', 'any'],
      ['arch_prctl', 'any'],
      ['ioctl', { anyOf: [{ index: 1, value: 7n }] }],
      ['clone3', { errno: 38 }],
    ]);
    const filter = compileFor(architecture, rules);
    const says = (number: number, args: readonly bigint[] = [], of: number = arch) =>
      decide(filter, { number, arch: of, args });
    assert.equal(says(read), ALLOW);
    assert.equal(says(ioctl, [0n, 7n]), ALLOW);
    assert.equal(says(ioctl, [7n, 0n]), KILL_PROCESS);
    assert.equal(says(clone3), 0x00050000 + 38);
    assert.equal(says(read, [], machines[other ?? architecture].arch), KILL_PROCESS);
  });

  test(`alternatives on one call hold each by itself on ${architecture}`, () => {
    const word = fc.oneof(uint64, fc.constantFrom(0n, 1n, 0xffffffffn, 0x100000000n, 2n ** 64n - 1n));
    const index = fc.nat(5);
    const alternative: fc.Arbitrary<ArgumentTest> = fc.oneof(
      fc.record({ index, value: word }),
      fc.record({ index, mask: word }),
    );
    const six = fc.tuple(word, word, word, word, word, word);
    fc.assert(
      fc.property(
        fc.array(alternative, { maxLength: 6 }),
        fc.array(six, { minLength: 1, maxLength: 8 }),
        (anyOf, calls) => {
          const filter = compileFor(architecture, new Map([['ioctl', { anyOf }]]));
          for (const given of calls) {
            // Calls that come near: each test's own value in its place.
            for (const args of [
              given,
              ...anyOf.map((each) => given.with(each.index, 'value' in each ? each.value : each.mask)),
            ]) {
              const holds = anyOf.some((each) => {
                const arg = args[each.index] ?? 0n;
                return 'value' in each ? arg === each.value : (arg & ~each.mask) === 0n;
              });
              assert.equal(decide(filter, { number: ioctl, arch, args }), holds ? ALLOW : KILL_PROCESS);
            }
          }
        },
      ),
      { numRuns: 100 },
    );
  });
}

for (const architecture of architectures) {
  const { arch, read } = machines[architecture];
  const says = (filter: Uint8Array, of: number, args: readonly bigint[] = []) =>
    decide(filter, { number: of, arch, args });

  test(`calls that libseccomp does not know have rules like others on ${architecture}`, () => {
    const rules = new Map<string, FilterRule>([
      ['read', 'any'],
      [
        'mseal',
        {
          anyOf: [
            { index: 2, value: 2n ** 40n + 1n },
            { index: 1, mask: 0xf0000000fn },
          ],
        },
      ],
      ['cachestat', 'any'],
      ['file_getattr', { errno: 1 }],
    ]);
    for (const filter of [
      compileFor(architecture, rules),
      compileFor(architecture, rules, { newest: 'futex_waitv' }),
    ]) {
      assert.equal(says(filter, read), ALLOW);
      assert.equal(says(filter, 451), ALLOW);
      assert.equal(says(filter, 468), 0x00050000 + 1);
      assert.equal(says(filter, 462, [0n, 16n, 2n ** 40n + 1n]), ALLOW);
      assert.equal(says(filter, 462, [0n, 0xf0000000fn]), ALLOW);
      assert.equal(says(filter, 462, [0n, 16n, 1n]), KILL_PROCESS);
      assert.equal(says(filter, 462, [0n, 0x1000000000n, 2n ** 40n]), KILL_PROCESS);
      assert.equal(decide(filter, { number: 451, arch: 0x40000003 }), KILL_PROCESS);
    }
    assert.equal(says(compileFor(architecture, rules), 452), KILL_PROCESS);
  });

  test(`calls above the newest that is named do not exist, those up to it kill on ${architecture}`, () => {
    const rules = new Map<string, FilterRule>([
      ['read', 'any'],
      ['set_mempolicy_home_node', 'any'],
    ]);
    const filter = compileFor(architecture, rules, { newest: 'futex_waitv' });
    for (const number of [451, 452, 462, 470, 600, 0x3fffffff]) assert.equal(says(filter, number), 0x00050000 + 38);
    for (const number of [448, 449, read + 1]) assert.equal(says(filter, number), KILL_PROCESS);
    assert.deepEqual([says(filter, read), says(filter, 450)], [ALLOW, ALLOW]);
    // The numbers of x32, and that of a call which a tracer has taken back.
    for (const number of [0x40000000 + 452, 0xffffffff]) assert.equal(says(filter, number), KILL_PROCESS);
    assert.equal(decide(filter, { number: 452, arch: 0x40000003 }), KILL_PROCESS);
  });
}

test('the table of newer calls and libseccomp agree as far as it knows them', () => {
  const names = [...newerCalls.keys()];
  assert.deepEqual(
    ['clone3', 'futex_waitv', 'fchmodat2', 'mseal', 'file_setattr'].map((name) => newerCalls.get(name)),
    [435, 449, 452, 462, 469],
  );
  for (const architecture of architectures) {
    for (const name of names.slice(0, 26)) {
      const filter = compileFor(architecture, new Map([[name, 'any']]));
      assert.equal(
        decide(filter, { number: newerCalls.get(name) ?? 0, arch: machines[architecture].arch }),
        ALLOW,
        name,
      );
    }
  }
});

test('knows which names are calls, and of which architecture', () => {
  assert.deepEqual(['read', 'socketcall', 'mseal', 'no_such_call', ''].map(isSyscall), [
    true,
    true,
    true,
    false,
    false,
  ]);
  assert.deepEqual(
    ['open', 'openat'].map((name) => architectures.map((architecture) => hasCall(name, architecture))),
    [
      [true, false],
      [true, true],
    ],
  );
});

test('a filter as text names the calls', () => {
  const text = describeFilter('aarch64', new Map([['openat', 'any']]));
  assert.match(text, /filter for arch aarch64/);
  assert.match(text, /filter for syscall "openat" \(56\)/);
});

test('a rule that libseccomp cannot add is an error that names the call', () => {
  const rules = new Map<string, FilterRule>([['read', { anyOf: [{ index: 6, value: 1n }] }]]);
  assert.throws(() => compileFor('x86_64', rules), /seccomp_rule_add_array read .*EINVAL/);
});
