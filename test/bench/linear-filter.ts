// A filter as one writes it by hand: each call compared with each rule, from the first one on.
import type { ArgumentTest, FilterRule } from '../../native/seccomp-rules.ts';

// linux/bpf_common.h, linux/seccomp.h
const LOAD_WORD = 0x20;
const AND = 0x54;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const KILL_PROCESS = 0x80000000;
const ERRNO = 0x00050000;
const ALLOW = 0x7fff0000;
/** struct seccomp_data: nr, arch, instruction pointer, six arguments. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const ARGUMENTS = 16;
const machine = process.arch === 'arm64' ? 0xc00000b7 : 0xc000003e;

type Instruction = readonly [code: number, constant: number, ifEqual?: number, otherwise?: number];

/** The rules in their order, as an array of struct sock_filter. `numbers` are those of the calls of this machine. */
export function linearFilter(rules: ReadonlyMap<string, FilterRule>, numbers: ReadonlyMap<string, number>): Uint8Array {
  const list: Instruction[] = [
    [LOAD_WORD, ARCHITECTURE],
    [JUMP_EQUAL, machine, 1, 0],
    [RETURN, KILL_PROCESS],
    [LOAD_WORD, NUMBER],
  ];
  for (const [name, rule] of rules) {
    const number = numbers.get(name);
    if (number === undefined) continue;
    const answer = answerOf(rule);
    list.push([JUMP_EQUAL, number, 0, answer.length], ...answer);
  }
  return encoded([...list, [RETURN, KILL_PROCESS]]);
}

function answerOf(rule: FilterRule): Instruction[] {
  if (rule === 'any') return [[RETURN, ALLOW]];
  if ('errno' in rule) return [[RETURN, ERRNO | rule.errno]];
  return [...rule.anyOf.flatMap(testOf), [RETURN, KILL_PROCESS]];
}

/** Both halves of an argument: equal to the value, or nothing left outside of the mask. */
function testOf(test: ArgumentTest): Instruction[] {
  const at = ARGUMENTS + 8 * test.index;
  const [value, outside] = 'value' in test ? [test.value, 2n ** 64n - 1n] : [0n, BigInt.asUintN(64, ~test.mask)];
  const half = (offset: number, shift: bigint, unequal: number): Instruction[] => [
    [LOAD_WORD, at + offset],
    [AND, Number((outside >> shift) & 0xffffffffn)],
    [JUMP_EQUAL, Number((value >> shift) & 0xffffffffn), 0, unequal],
  ];
  return [...half(0, 0n, 4), ...half(4, 32n, 1), [RETURN, ALLOW]];
}

/** u16 code, u8 jt, u8 jf, u32 k, little-endian. */
function encoded(list: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(8 * list.length);
  for (const [index, [code, constant, ifEqual = 0, otherwise = 0]] of list.entries()) {
    bytes.writeUInt16LE(code, 8 * index);
    bytes.writeUInt8(ifEqual, 8 * index + 2);
    bytes.writeUInt8(otherwise, 8 * index + 3);
    bytes.writeUInt32LE(constant >>> 0, 8 * index + 4);
  }
  return bytes;
}
