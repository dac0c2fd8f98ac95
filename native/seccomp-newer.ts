// What stands before libseccomp's filter: calls that are newer than that library, and those that are newer than a profile.
// Classic BPF on struct seccomp_data (seccomp(2)), little-endian.
import type { ArgumentTest, FilterRule } from './seccomp-rules.ts';

export interface Newer {
  /** AUDIT_ARCH_* */
  readonly architecture: number;
  /** Calls that libseccomp does not know, by number. */
  readonly rules: ReadonlyMap<number, FilterRule>;
  /** Calls with a higher number, as far as they are not among `known` or have a rule, do not exist (ENOSYS); null = none. */
  readonly newest: number | null;
  /** What libseccomp's filter decides although its number is higher. */
  readonly known: readonly number[];
}

/** `rest` in place of a number: to what comes after all of this. */
interface Instruction {
  readonly code: number;
  readonly k: number | 'rest';
  readonly jt?: number;
  readonly jf?: number;
}

const LOAD = 0x20;
const AND = 0x54;
const JUMP = 0x05;
const EQUAL = 0x15;
const GREATER_OR_EQUAL = 0x35;
const RETURN = 0x06;

const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;
const KILL_PROCESS = 0x80000000;
const ENOSYS = 38;
/** From here on numbers are those of x32 (x86_64), which libseccomp's filter kills for. */
const beyond = 0x40000000;

const number = 0;
const architectureAt = 4;
const argument = (index: number, half: 'low' | 'high'): number => 16 + 8 * index + (half === 'low' ? 0 : 4);

/** The instructions, as an array of struct sock_filter; none when there is nothing that libseccomp cannot say. */
export function newerInstructions({ architecture, rules, newest, known }: Newer): Uint8Array {
  const numbers = [...rules.keys(), ...(newest === null ? [] : [newest + 1])];
  if (numbers.length === 0) return new Uint8Array();
  const rest = { code: JUMP, k: 'rest' } as const;
  const code: Instruction[] = [
    { code: LOAD, k: number },
    { code: GREATER_OR_EQUAL, k: Math.min(...numbers), jt: 1, jf: 0 },
    rest,
    { code: GREATER_OR_EQUAL, k: beyond, jt: 0, jf: 1 },
    rest,
    { code: LOAD, k: architectureAt },
    { code: EQUAL, k: architecture, jt: 1, jf: 0 },
    rest,
    { code: LOAD, k: number },
    ...known.flatMap((each) => [{ code: EQUAL, k: each, jt: 0, jf: 1 }, rest]),
    ...[...rules].flatMap(([each, rule]) => {
      const block = ruled(rule);
      return [{ code: EQUAL, k: each, jt: 1, jf: 0 }, { code: JUMP, k: block.length }, ...block];
    }),
    ...(newest === null
      ? []
      : [
          { code: GREATER_OR_EQUAL, k: newest + 1, jt: 0, jf: 1 },
          { code: RETURN, k: ERRNO | ENOSYS },
        ]),
  ];
  return encoded(code);
}

/** Ends with a verdict in any case. */
function ruled(rule: FilterRule): Instruction[] {
  if (rule === 'any') return [{ code: RETURN, k: ALLOW }];
  if ('errno' in rule) return [{ code: RETURN, k: ERRNO | rule.errno }];
  return [...rule.anyOf.flatMap(tested), { code: RETURN, k: KILL_PROCESS }];
}

/** Both halves of the argument, then the next test. */
function tested(test: ArgumentTest): Instruction[] {
  const [wanted, outside] = 'value' in test ? [test.value, null] : [0n, BigInt.asUintN(64, ~test.mask)];
  const half = (of: 'low' | 'high', left: number): Instruction[] => [
    { code: LOAD, k: argument(test.index, of) },
    ...(outside === null ? [] : [{ code: AND, k: word(outside, of) }]),
    { code: EQUAL, k: word(wanted, of), jt: 0, jf: left },
  ];
  const low = half('low', 1);
  return [...half('high', low.length + 1), ...low, { code: RETURN, k: ALLOW }];
}

function word(value: bigint, half: 'low' | 'high'): number {
  return Number(BigInt.asUintN(32, half === 'low' ? value : value >> 32n));
}

function encoded(code: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(8 * code.length);
  for (const [index, { code: operation, k, jt = 0, jf = 0 }] of code.entries()) {
    bytes.writeUInt16LE(operation, 8 * index);
    bytes.writeUInt8(jt, 8 * index + 2);
    bytes.writeUInt8(jf, 8 * index + 3);
    bytes.writeUInt32LE(k === 'rest' ? code.length - index - 1 : k, 8 * index + 4);
  }
  return bytes;
}
