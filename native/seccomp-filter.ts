// Seccomp filters through libseccomp: from rules to the bytes that seccomp(2) takes.
import { closeSync, fstatSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import { declareSyscall, errnoName, loadLibrary, SyscallError } from './libc.ts';
import { newerCalls } from './newer-calls.ts';
import { syscallNumber } from './numbers.ts';
import { newerInstructions } from './seccomp-newer.ts';
import type { ArgumentTest, FilterRule } from './seccomp-rules.ts';

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
    addArchitecture: seccomp.func('seccomp_arch_add', 'int', ['void *', 'uint32_t']),
    removeArchitecture: seccomp.func('seccomp_arch_remove', 'int', ['void *', 'uint32_t']),
    resolve: seccomp.func('seccomp_syscall_resolve_name', 'int', ['str']),
    resolveFor: seccomp.func('seccomp_syscall_resolve_name_arch', 'int', ['uint32_t', 'str']),
    nameFor: seccomp.func('seccomp_syscall_resolve_num_arch', 'str', ['uint32_t', 'int']),
    addRule: seccomp.func('seccomp_rule_add_array', 'int', ['void *', 'uint32_t', 'int', 'uint32_t', 'void *']),
    exportBpf: seccomp.func('seccomp_export_bpf', 'int', ['void *', 'int']),
    exportPfc: seccomp.func('seccomp_export_pfc', 'int', ['void *', 'int']),
  };
});

/** Architectures that filters are made for, by the names of uname(2): AUDIT_ARCH_* of each, which libseccomp's tokens are. */
const tokens = { x86_64: 0xc000003e, aarch64: 0xc00000b7 } as const;
export type Architecture = keyof typeof tokens;
export const architectures = Object.keys(tokens) as readonly Architecture[];

/** The one that this runs on. */
export const ownArchitecture: Architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** What libseccomp gives for a name that no architecture has; one that another has is a smaller number. */
const NR_SCMP_ERROR = -1;

/** Whether any architecture has a system call of this name. Throws an Error when libseccomp is not installed. */
export function isSyscall(name: string): boolean {
  return newerCalls.has(name) || library().resolve(name) !== NR_SCMP_ERROR;
}

/** Whether this architecture has it. */
export function hasCall(name: string, architecture: Architecture): boolean {
  return newerCalls.has(name) || isKnown(name, architecture);
}

const callNames = new Map<string, string | null>();

/**
 * The name of a system call by its number in an architecture (AUDIT_ARCH_*); null when libseccomp knows none. Throws an Error
 * when libseccomp is not installed.
 */
export function callName(architecture: number, number: number): string | null {
  const newer = [...newerCalls].find(([, each]) => each === number);
  if (newer !== undefined) return newer[0];
  // What is asked for a second time costs nothing: libseccomp gives memory that is never freed.
  const key = `${architecture} ${number}`;
  const name = callNames.get(key) ?? (library().nameFor(architecture, number) as string | null);
  if (name !== null) callNames.set(key, name);
  return name;
}

/** AUDIT_ARCH_* of this machine. */
export const ownAuditArchitecture: number = tokens[ownArchitecture];

function isKnown(name: string, architecture: Architecture): boolean {
  return (library().resolveFor(tokens[architecture], name) as number) >= 0;
}

/** What a filter says beside its rules. */
export interface Beside {
  /** Calls with a higher number than this one's and without a rule do not exist (ENOSYS): C libraries then take older ones. */
  readonly newest?: string | undefined;
}

const compiled = new Map<string, Uint8Array>();
const cacheLimit = 256;

/**
 * The filter as an array of struct sock_filter: calls without a rule, and calls of another architecture, kill the
 * process with SIGSYS. Names that the architecture does not have are skipped. It takes some 3 ms, so what was compiled
 * for a `key` is kept; the same key must stand for the same rules. Throws SyscallError, or an Error when libseccomp is not
 * installed.
 */
export function compileFilter(
  key: string,
  rules: () => ReadonlyMap<string, FilterRule>,
  beside: Beside = {},
): Uint8Array {
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const filter = compileFor(ownArchitecture, rules(), beside);
  if (compiled.size >= cacheLimit) compiled.clear();
  compiled.set(key, filter);
  return filter;
}

/** The same for any architecture, afresh. */
export function compileFor(
  architecture: Architecture,
  rules: ReadonlyMap<string, FilterRule>,
  { newest }: Beside = {},
): Uint8Array {
  const main = withContext(architecture, rules, (context) =>
    exported('seccomp_export_bpf', library().exportBpf, context),
  );
  const highest = newest === undefined ? null : (newerCalls.get(newest) ?? null);
  const named = [...rules].flatMap(([name, rule]) => {
    const number = newerCalls.get(name);
    return number === undefined ? [] : [{ number, rule, isKnown: isKnown(name, architecture) }];
  });
  const before = newerInstructions({
    architecture: tokens[architecture],
    rules: new Map(named.filter((each) => !each.isKnown).map(({ number, rule }) => [number, rule])),
    newest: highest,
    known: named
      .filter((each) => each.isKnown && highest !== null && each.number > highest)
      .map(({ number }) => number),
  });
  return Buffer.concat([before, main]);
}

/** What such a filter does, for people: libseccomp's pseudo filter code. Calls that libseccomp does not know are not in it. */
export function describeFilter(architecture: Architecture, rules: ReadonlyMap<string, FilterRule>): string {
  return withContext(architecture, rules, (context) =>
    Buffer.from(exported('seccomp_export_pfc', library().exportPfc, context)).toString('utf8'),
  );
}

function withContext<T>(
  architecture: Architecture,
  rules: ReadonlyMap<string, FilterRule>,
  use: (context: unknown) => T,
): T {
  const { init, release, setAttribute, addArchitecture, removeArchitecture } = library();
  const context: unknown = init(SCMP_ACT_KILL_PROCESS);
  if (context === null) throw new SyscallError('seccomp_init', constants.errno.ENOMEM, 'a filter');
  try {
    if (architecture !== ownArchitecture) {
      check('seccomp_arch_add', architecture, addArchitecture(context, tokens[architecture]));
      check('seccomp_arch_remove', ownArchitecture, removeArchitecture(context, tokens[ownArchitecture]));
    }
    check(
      'seccomp_attr_set',
      'bad architecture',
      setAttribute(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
    );
    // A binary tree takes some 10 instructions for a call where a list takes as many as there are rules.
    check('seccomp_attr_set', 'binary tree', setAttribute(context, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_BINARY_TREE));
    for (const [name, rule] of rules) if (isKnown(name, architecture)) addRule(context, name, rule);
    return use(context);
  } finally {
    release(context);
  }
}

/** Rules go by this machine's number of a call, or by the one that libseccomp has for it where the machine has none. */
function addRule(context: unknown, name: string, rule: FilterRule): void {
  const { addRule: addTo, resolve } = library();
  const add = (action: number, tests: Uint8Array | null): void =>
    check('seccomp_rule_add_array', name, addTo(context, action, resolve(name), tests === null ? 0 : 1, tests));
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

function exported(call: string, exportTo: (context: unknown, fd: number) => unknown, context: unknown): Uint8Array {
  const fd = memfdCreate('memfd', 'seccomp', MFD_CLOEXEC);
  try {
    check(call, 'a filter', exportTo(context, fd));
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
