// Expressions of minijail's seccomp policies (minijail0(5)), as far as a rule of today's manifest can say the same.
import { dictionary, scalar, type Node, type Scalar } from './nodes.ts';

interface Condition {
  readonly index: number;
  readonly values: readonly bigint[];
  readonly mask: bigint | null;
}

const ALL = 2n ** 64n - 1n;
const MOST_ALTERNATIVES = 16;

/** Constants of <sys/mman.h>, <sys/socket.h>, <fcntl.h> that are the same on every architecture we run on. */
const constants: Readonly<Record<string, bigint>> = {
  PROT_NONE: 0n,
  PROT_READ: 1n,
  PROT_WRITE: 2n,
  PROT_EXEC: 4n,
  MAP_SHARED: 1n,
  MAP_PRIVATE: 2n,
  MAP_FIXED: 0x10n,
  MAP_ANONYMOUS: 0x20n,
  AF_UNIX: 1n,
  AF_INET: 2n,
  AF_INET6: 10n,
  AF_NETLINK: 16n,
  SOCK_STREAM: 1n,
  SOCK_DGRAM: 2n,
  SOCK_NONBLOCK: 0o4000n,
  SOCK_CLOEXEC: 0o2000000n,
  O_RDONLY: 0n,
  O_WRONLY: 1n,
  O_RDWR: 2n,
  F_GETFD: 1n,
  F_SETFD: 2n,
  F_GETFL: 3n,
  F_SETFL: 4n,
};

/** The rule as today's manifest has it; null = the call is never let in. Throws, naming the term, what has no counterpart. */
export function minijailRule(expression: Scalar): Node | null {
  const text = expression.text.trim();
  if (text === '1') return scalar('any', expression);
  if (text === '0') return null;
  const alternatives = merged(text.split('||').map((term) => condition(term.trim())));
  if (alternatives.length > MOST_ALTERNATIVES) throw new Error(`more than ${MOST_ALTERNATIVES} alternatives`);
  const nodes = alternatives.map((each) => conditionNode(each, expression));
  const [only] = nodes;
  if (nodes.length === 1 && only !== undefined) return { ...only, tag: 'args' };
  return { kind: 'list', at: expression.at, tag: 'args', items: nodes };
}

function condition(term: string): Condition {
  const found = /^arg([0-5])\s*(==|in)\s*([^&;\s][^&;]*)$/.exec(term);
  if (found === null) throw new Error(`"${term.slice(0, 100)}" has no counterpart in the present format`);
  const [, index, operator, operand = ''] = found;
  const value = operand.split('|').reduce((bits, part) => bits | constant(part.trim()), 0n);
  const isMask = operator === 'in';
  return { index: Number(index), values: isMask ? [] : [value], mask: isMask ? value : null };
}

function constant(text: string): bigint {
  if (text.startsWith('~')) return ALL ^ constant(text.slice(1).trim());
  if (Object.hasOwn(constants, text)) return constants[text] ?? 0n;
  if (/^(?:0x[0-9a-f]{1,16}|\d{1,19})$/i.test(text)) return BigInt(text);
  throw new Error(`"${text.slice(0, 100)}" is no constant that is known`);
}

/** Equal values of one argument are one condition. */
function merged(conditions: readonly Condition[]): Condition[] {
  const values = new Map<number, bigint[]>();
  for (const each of conditions) {
    if (each.mask === null) values.set(each.index, [...(values.get(each.index) ?? []), ...each.values]);
  }
  const equal = [...values].map(([index, all]) => ({ index, values: [...new Set(all)], mask: null }));
  return [...equal, ...conditions.filter(({ mask }) => mask !== null)];
}

function conditionNode({ index, values, mask }: Condition, from: Scalar): Node {
  const numbers: Node = {
    kind: 'list',
    at: from.at,
    tag: null,
    items: values.map((value) => scalar(String(value), from, true)),
  };
  return dictionary(from, [
    ['index', scalar(String(index), from, true)],
    ...(mask === null ? [['values', numbers] as const] : [['mask', scalar(String(mask), from, true)] as const]),
  ]);
}
