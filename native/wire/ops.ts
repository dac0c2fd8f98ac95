// The flat launch specification that the launcher executes, and its form on the wire (native/launcher/sandbox/op-table.def).
import { createEncoder, type Encoder } from './encoder.ts';
import { OPS_LIMIT, RequestTooLarge } from './wire.ts';

/** How a field of an op is written. `fds` are the descriptors that travel with the list. */
interface Field<T> {
  write(to: Encoder, value: T, fds: number[]): void;
}

const infinity = 2n ** 64n - 1n;

/** A descriptor of this process, which stays its own: an index into the list's. Always an op's first field. */
const fd: Field<number> = { write: (to, value, fds) => to.u16(indexOf(value, fds)) };
const u32: Field<number> = { write: (to, value) => to.u32(value) };
const i32: Field<number> = { write: (to, value) => to.u32(value >>> 0) };
const u64: Field<number> = { write: (to, value) => to.u64(BigInt(value)) };
/** Bit n stands for capability n. */
const set: Field<bigint> = { write: (to, value) => to.u64(value) };
/** null = RLIM_INFINITY. */
const limit: Field<number | null> = { write: (to, value) => to.u64(value === null ? infinity : BigInt(value)) };
const flag: Field<boolean> = { write: (to, value) => to.u8(value ? 1 : 0) };
/** UTF-8 without NUL, as all texts. */
const text: Field<string> = { write: (to, value) => to.text(value) };
const texts: Field<readonly string[]> = { write: (to, value) => to.texts(value) };
const bytes: Field<Uint8Array> = { write: (to, value) => to.bytes(value) };
const numbers: Field<readonly number[]> = {
  write(to, value) {
    to.u32(value.length);
    value.forEach((each) => to.u32(each));
  },
};
const stream: Field<1 | 2> = { write: (to, value) => to.u8(value) };
const modes = { null: 0, ring: 1, relay: 2 } as const;
const mode: Field<keyof typeof modes> = { write: (to, value) => to.u8(modes[value]) };

const directions = { out: 0, in: 1 } as const;
const direction: Field<keyof typeof directions> = { write: (to, value) => to.u8(directions[value]) };

const looks = { file: 0, unix: 1 } as const;
const looked: Field<keyof typeof looks> = { write: (to, value) => to.u8(looks[value]) };

/** Every op: its number on the wire, and its fields in the order of the wire. */
export const opTable = {
  /** CLONE_NEW* of the init; a PID namespace is always among them. */
  namespaces: { number: 1, fields: { flags: u32 } },
  /** The cgroup v2 directory that the init is born in. */
  'cgroup-into': { number: 2, fields: { fd } },
  /** A cgroup.procs of v1, open for writing. */
  'cgroup-join': { number: 3, fields: { fd } },
  /** Where stream 1 or 2 goes: nowhere, to a ring of `size` bytes, or line by line to the launcher's own. */
  output: { number: 4, fields: { stream, mode, size: u32 } },
  /** A memory.events or memory.oom_control, read at the exit. */
  oom: { number: 5, fields: { fd } },
  setns: { number: 6, fields: { fd, flags: u32 } },
  hostname: { number: 7, fields: { name: text } },
  /** A detached tree (open_tree(2)) that becomes the root. */
  root: { number: 8, fields: { fd } },
  /** A detached tree, and where in the new root it goes. */
  tree: { number: 9, fields: { fd, target: text } },
  /** A file system made in the container: `options` are "key=value" or "flag", `attributes` MOUNT_ATTR_*. */
  filesystem: { number: 10, fields: { type: text, target: text, attributes: u64, options: texts } },
  /** Changes a mount (mount_setattr(2)); stands after `pivot`. */
  attributes: { number: 11, fields: { target: text, set: u64, clear: u64, recursive: flag } },
  /** A character device, a directory or an empty file: `mode` includes S_IFCHR, S_IFDIR or S_IFREG. */
  node: { number: 12, fields: { path: text, mode: u32, major: u32, minor: u32 } },
  symlink: { number: 13, fields: { target: text, path: text } },
  pivot: { number: 14, fields: {} },
  /** Hides what is at a path, where something is: a directory behind an empty one, a file behind /dev/null. */
  mask: { number: 15, fields: { path: text } },
  /** A datagram socket, the launcher's to read: at this path, or of this abstract name in the container's network namespace. */
  notify: { number: 16, fields: { name: text } },
  /** `resource` is RLIMIT_*. */
  rlimit: { number: 20, fields: { resource: u32, soft: limit, hard: limit } },
  ids: { number: 21, fields: { uid: u32, gid: u32, groups: numbers } },
  capabilities: {
    number: 22,
    fields: { bounding: set, permitted: set, effective: set, inheritable: set, ambient: set },
  },
  /** An array of struct sock_filter (seccomp(2)). */
  seccomp: { number: 23, fields: { filter: bytes } },
  umask: { number: 24, fields: { mask: u32 } },
  cwd: { number: 25, fields: { path: text } },
  /** `policy` is SCHED_*. */
  schedule: { number: 26, fields: { policy: u32, nice: i32, priority: u32 } },
  /** The SELinux context that the application is executed in. */
  label: { number: 27, fields: { context: text } },
  /** oom_score_adj of all its processes (proc_pid_oom_score_adj(5)); 0 without it. */
  'oom-score': { number: 28, fields: { score: i32 } },
  /** Go list, exactly one: what is executed. `environment` is "NAME=value". */
  exec: { number: 40, fields: { path: text, arguments: texts, environment: texts } },
  /** Go list: an open descriptor of the application, and the number it has there. */
  descriptor: { number: 41, fields: { fd, number: u32 } },
  /** Go list: owner and mode of an open directory. */
  owner: { number: 42, fields: { fd, uid: u32, gid: u32, mode: u32 } },
  /** Go list: bytes for a file, in one write(2); its path is for errors. */
  write: { number: 43, fields: { fd, bytes, path: text } },
  /** Of who joins: descriptor 0 is the terminal that controls the session. */
  terminal: { number: 44, fields: {} },
  /** Of who joins: a program, as a detached tree, that only it sees, in /.northstate/bin under each of these names. */
  tools: { number: 45, fields: { fd, names: texts } },
  /** Of who joins, instead of `exec`: a file to descriptor 1, or `size` bytes of descriptor 0 into a file; `mode` of a new one. */
  copy: { number: 46, fields: { direction, size: u64, mode: u32, path: text } },
  /** Instead of `exec`: whether something is at the path, or whether somebody listens at the socket. */
  look: { number: 47, fields: { kind: looked, path: text } },
} as const;

type Rows = typeof opTable;
type Values<Fields> = { readonly [Name in keyof Fields]: Fields[Name] extends Field<infer Value> ? Value : never };

/** One op: its name, and the value of each of its fields. */
export type Op = { [Name in keyof Rows]: { readonly op: Name } & Values<Rows[Name]['fields']> }[keyof Rows];

/** Steps that are no op (failure.h). */
const launcherSteps = {
  request: 0x100,
  attempt: 0x101,
  watch: 0x102,
  keep: 0x103,
  kill: 0x104,
  memory: 0x105,
  clone: 0x110,
  control: 0x111,
  init: 0x112,
  fork: 0x113,
  stdio: 0x114,
  join: 0x115,
  health: 0x116,
  reexec: 0x117,
} as const;

const stepNames = new Map<number, string>([
  ...Object.entries(opTable).map(([name, { number }]) => [number, name] as const),
  ...Object.entries(launcherSteps).map(([name, number]) => [number, name] as const),
]);

/** The name of a step in a failure of the launcher: an op, or one of its own; `step <number>` for one that is unknown. */
export function stepName(step: number): string {
  return stepNames.get(step) ?? `step ${step}`;
}

/** The same by the names of ops, as it is looked up for each of a list. */
const layouts = new Map(
  Object.entries(opTable).map(([op, { number, fields }]) => [
    op,
    { number, fields: Object.entries<Field<unknown>>(fields as Readonly<Record<string, Field<unknown>>>) },
  ]),
);

/**
 * An op list as the launcher reads it, and the descriptors that travel with it, each once. A descriptor stands in the
 * bytes as its index in `fds`. Throws RequestTooLarge.
 */
export function encodeOps(ops: readonly Op[]): { bytes: Uint8Array; fds: number[] } {
  const fds: number[] = [];
  return { bytes: encodeList(ops, fds), fds };
}

/** The same as one of several lists of a request: its descriptors are added to `fds`. */
export function encodeList(ops: readonly Op[], fds: number[]): Uint8Array {
  const list = createEncoder();
  if (ops.length > OPS_LIMIT) {
    throw new RequestTooLarge(`a list of ${ops.length} operations is over the limit of ${OPS_LIMIT}`);
  }
  list.u16(ops.length);
  for (const op of ops) {
    const layout = layouts.get(op.op);
    if (layout === undefined) throw new Error(`there is no operation ${op.op}`);
    const values: Readonly<Record<string, unknown>> = op;
    list.u16(layout.number);
    list.framed(() => {
      for (const [name, field] of layout.fields) field.write(list, values[name], fds);
    });
  }
  return list.end();
}

function indexOf(fd: number, fds: number[]): number {
  const index = fds.indexOf(fd);
  return index < 0 ? fds.push(fd) - 1 : index;
}
