// Seccomp filters through libseccomp: from rules to the bytes that seccomp(2) takes.
import { closeSync, fstatSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import { declareSyscall, errnoName, loadLibrary, SyscallError } from './libc.ts';
import { syscallNumber } from './numbers.ts';

/** A 64-bit argument (`index` 0..5) that equals `value`, or that has no bit outside `mask`. */
export type ArgumentTest =
  { readonly index: number; readonly value: bigint } | { readonly index: number; readonly mask: bigint };

/** What becomes of a call: let in, let in when any of the tests holds, or answered with an errno. */
export type FilterRule = 'any' | { readonly anyOf: readonly ArgumentTest[] } | { readonly errno: number };

// seccomp.h of libseccomp 2.5
const SCMP_ACT_KILL_PROCESS = 0x80000000;
const SCMP_ACT_ERRNO = 0x00050000;
const SCMP_ACT_ALLOW = 0x7fff0000;
const SCMP_FLTATR_ACT_BADARCH = 2;
const SCMP_FLTATR_CTL_OPTIMIZE = 8;
const OPTIMIZE_BINARY_TREE = 2;
const SCMP_CMP_EQ = 4;
const SCMP_CMP_MASKED_EQ = 7;
const MFD_CLOEXEC = 1;

const memfdCreate = declareSyscall('memfd_create', syscallNumber('memfd_create', { x64: 319, arm64: 279 }), [
  'str',
  'unsigned int',
]);

const library = once(() => {
  const seccomp = loadLibrary('libseccomp.so.2');
  return {
    init: seccomp.func('seccomp_init', 'void *', ['uint32_t']),
    release: seccomp.func('seccomp_release', 'void', ['void *']),
    setAttribute: seccomp.func('seccomp_attr_set', 'int', ['void *', 'int', 'uint32_t']),
    resolve: seccomp.func('seccomp_syscall_resolve_name', 'int', ['str']),
    addRule: seccomp.func('seccomp_rule_add_array', 'int', ['void *', 'uint32_t', 'int', 'uint32_t', 'void *']),
    exportBpf: seccomp.func('seccomp_export_bpf', 'int', ['void *', 'int']),
  };
});

const compiled = new Map<string, Uint8Array>();
const cacheLimit = 256;

/**
 * The filter as an array of struct sock_filter: calls without a rule, and calls of another architecture, kill the
 * process with SIGSYS. Names that this architecture does not have are skipped. It takes some 3 ms, so what was compiled
 * for a `key` is kept; the same key must stand for the same rules. Throws SyscallError, or an Error when libseccomp is not
 * installed.
 */
export function compileFilter(key: string, rules: () => ReadonlyMap<string, FilterRule>): Uint8Array {
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const filter = compile(rules());
  if (compiled.size >= cacheLimit) compiled.clear();
  compiled.set(key, filter);
  return filter;
}

function compile(rules: ReadonlyMap<string, FilterRule>): Uint8Array {
  const { init, release, setAttribute, resolve } = library();
  const context: unknown = init(SCMP_ACT_KILL_PROCESS);
  if (context === null) throw new SyscallError('seccomp_init', constants.errno.ENOMEM, 'a filter');
  try {
    check(
      'seccomp_attr_set',
      'bad architecture',
      setAttribute(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
    );
    // A binary tree takes some 10 instructions for a call where a list takes as many as there are rules.
    check('seccomp_attr_set', 'binary tree', setAttribute(context, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_BINARY_TREE));
    for (const [name, rule] of rules) {
      const number: unknown = resolve(name);
      if (typeof number === 'number' && number >= 0) addRule(context, name, number, rule);
    }
    return exported(context);
  } finally {
    release(context);
  }
}

function addRule(context: unknown, name: string, number: number, rule: FilterRule): void {
  const add = (action: number, tests: Uint8Array | null): void =>
    check('seccomp_rule_add_array', name, library().addRule(context, action, number, tests === null ? 0 : 1, tests));
  if (rule === 'any') add(SCMP_ACT_ALLOW, null);
  else if ('errno' in rule) add(SCMP_ACT_ERRNO | rule.errno, null);
  else for (const test of rule.anyOf) add(SCMP_ACT_ALLOW, comparison(test));
}

/** struct scmp_arg_cmp: unsigned arg, enum op, u64 datum_a, u64 datum_b. */
function comparison(test: ArgumentTest): Uint8Array {
  const bytes = Buffer.alloc(24);
  bytes.writeUInt32LE(test.index, 0);
  if ('value' in test) {
    bytes.writeUInt32LE(SCMP_CMP_EQ, 4);
    bytes.writeBigUInt64LE(test.value, 8);
  } else {
    bytes.writeUInt32LE(SCMP_CMP_MASKED_EQ, 4);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, ~test.mask), 8);
  }
  return bytes;
}

function exported(context: unknown): Uint8Array {
  const fd = memfdCreate('memfd', 'seccomp', MFD_CLOEXEC);
  try {
    check('seccomp_export_bpf', 'a filter', library().exportBpf(context, fd));
    const filter = Buffer.alloc(fstatSync(fd).size);
    readSync(fd, filter, 0, filter.length, 0);
    return filter;
  } finally {
    closeSync(fd);
  }
}

/** libseccomp answers -errno. */
function check(call: string, subject: string, result: unknown): void {
  if (typeof result !== 'number') throw new Error(`${call} ${subject}: no number but ${typeof result}`);
  if (result < 0) throw new SyscallError(call, -result, `${subject} (${errnoName(-result)})`);
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
