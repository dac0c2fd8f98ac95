// The flat launch specification that the launcher executes, and its form on the wire (native/launcher/sandbox/ops.h).
import { createEncoder, type Encoder } from './encoder.ts';

/** Texts are UTF-8 without NUL. Every `fd` is a descriptor of this process, and stays its own. */
export type Op =
  /** CLONE_NEW* of the init; a PID namespace is always among them. */
  | { readonly op: 'namespaces'; readonly flags: number }
  /** The cgroup v2 directory that the init is born in. */
  | { readonly op: 'cgroup-into'; readonly fd: number }
  /** A cgroup.procs of v1, open for writing. */
  | { readonly op: 'cgroup-join'; readonly fd: number }
  /** Where stream 1 or 2 goes; `size` is the ring's, in bytes. */
  | { readonly op: 'output'; readonly stream: 1 | 2; readonly mode: 'null' | 'ring'; readonly size: number }
  /** A memory.events or memory.oom_control, read at the exit. */
  | { readonly op: 'oom'; readonly fd: number }
  | { readonly op: 'setns'; readonly fd: number; readonly flags: number }
  | { readonly op: 'hostname'; readonly name: string }
  /** A detached tree (open_tree(2)) that becomes the root. */
  | { readonly op: 'root'; readonly fd: number }
  /** A detached tree, and where in the new root it goes. */
  | { readonly op: 'tree'; readonly fd: number; readonly target: string }
  /** A file system made in the container: `options` are "key=value" or "flag", `attributes` MOUNT_ATTR_*. */
  | {
      readonly op: 'filesystem';
      readonly type: string;
      readonly target: string;
      readonly attributes: number;
      readonly options: readonly string[];
    }
  /** Changes a mount (mount_setattr(2)); stands after `pivot`. */
  | {
      readonly op: 'attributes';
      readonly target: string;
      readonly set: number;
      readonly clear: number;
      readonly recursive: boolean;
    }
  /** A character device or a directory: `mode` includes S_IFCHR or S_IFDIR. */
  | {
      readonly op: 'node';
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    }
  | { readonly op: 'symlink'; readonly target: string; readonly path: string }
  /** Hides what is at a path, where something is: a directory behind an empty one, a file behind /dev/null. */
  | { readonly op: 'mask'; readonly path: string }
  | { readonly op: 'pivot' }
  /** `resource` is RLIMIT_*; null = RLIM_INFINITY. */
  | { readonly op: 'rlimit'; readonly resource: number; readonly soft: number | null; readonly hard: number | null }
  | { readonly op: 'ids'; readonly uid: number; readonly gid: number; readonly groups: readonly number[] }
  /** Bit n stands for capability n. */
  | {
      readonly op: 'capabilities';
      readonly bounding: bigint;
      readonly permitted: bigint;
      readonly effective: bigint;
      readonly inheritable: bigint;
      readonly ambient: bigint;
    }
  /** An array of struct sock_filter (seccomp(2)). */
  | { readonly op: 'seccomp'; readonly filter: Uint8Array }
  | { readonly op: 'umask'; readonly mask: number }
  | { readonly op: 'cwd'; readonly path: string }
  /** `policy` is SCHED_*. */
  | { readonly op: 'schedule'; readonly policy: number; readonly nice: number; readonly priority: number }
  /** The SELinux context that the application is executed in. */
  | { readonly op: 'label'; readonly context: string }
  /** Go list, exactly one: what is executed. `environment` is "NAME=value". */
  | {
      readonly op: 'exec';
      readonly path: string;
      readonly arguments: readonly string[];
      readonly environment: readonly string[];
    }
  /** Go list: an open descriptor of the application, and the number it has there. */
  | { readonly op: 'descriptor'; readonly fd: number; readonly number: number }
  /** Go list: owner and mode of an open directory. */
  | { readonly op: 'owner'; readonly fd: number; readonly uid: number; readonly gid: number; readonly mode: number }
  /** Go list: bytes for a file, in one write(2). */
  | { readonly op: 'write'; readonly fd: number; readonly bytes: Uint8Array };

/** The number of each op on the wire. */
const numbers = {
  namespaces: 1,
  'cgroup-into': 2,
  'cgroup-join': 3,
  output: 4,
  oom: 5,
  setns: 6,
  hostname: 7,
  root: 8,
  tree: 9,
  filesystem: 10,
  attributes: 11,
  node: 12,
  symlink: 13,
  pivot: 14,
  mask: 15,
  rlimit: 20,
  ids: 21,
  capabilities: 22,
  seccomp: 23,
  umask: 24,
  cwd: 25,
  schedule: 26,
  label: 27,
  exec: 40,
  descriptor: 41,
  owner: 42,
  write: 43,
} as const satisfies Record<Op['op'], number>;

/** Steps that are no op (launch.h). */
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
} as const;

const stepNames = new Map<number, string>(
  [...Object.entries(numbers), ...Object.entries(launcherSteps)].map(([name, number]) => [number, name]),
);

/** The name of a step in a failure of the launcher: an op, or one of its own; `step <number>` for one that is unknown. */
export function stepName(step: number): string {
  return stepNames.get(step) ?? `step ${step}`;
}

const infinity = 2n ** 64n - 1n;

/**
 * An op list as the launcher reads it, and the descriptors that travel with it, each once. A descriptor stands in the
 * bytes as its index in `fds`.
 */
export function encodeOps(ops: readonly Op[]): { bytes: Uint8Array; fds: number[] } {
  const fds: number[] = [];
  const list = createEncoder();
  list.u16(ops.length);
  for (const op of ops) {
    const payload = createEncoder(128);
    if ('fd' in op) payload.u16(indexOf(op.fd, fds));
    writeRest(op, payload);
    list.u16(numbers[op.op]);
    list.bytes(payload.end());
  }
  return { bytes: list.end(), fds };
}

function indexOf(fd: number, fds: number[]): number {
  const index = fds.indexOf(fd);
  return index < 0 ? fds.push(fd) - 1 : index;
}

/** The payload after the descriptor, which always comes first. */
function writeRest(op: Op, to: Encoder): void {
  switch (op.op) {
    case 'namespaces':
      return to.u32(op.flags);
    case 'cgroup-into':
    case 'cgroup-join':
    case 'oom':
    case 'root':
    case 'pivot':
      return;
    case 'output':
      to.u8(op.stream);
      to.u8(op.mode === 'ring' ? 1 : 0);
      return to.u32(op.size);
    case 'setns':
      return to.u32(op.flags);
    case 'hostname':
      return to.text(op.name);
    case 'tree':
      return to.text(op.target);
    case 'filesystem':
      to.text(op.type);
      to.text(op.target);
      to.u64(BigInt(op.attributes));
      return to.texts(op.options);
    case 'attributes':
      to.text(op.target);
      to.u64(BigInt(op.set));
      to.u64(BigInt(op.clear));
      return to.u8(op.recursive ? 1 : 0);
    case 'node':
      to.text(op.path);
      to.u32(op.mode);
      to.u32(op.major);
      return to.u32(op.minor);
    case 'symlink':
      to.text(op.target);
      return to.text(op.path);
    case 'mask':
      return to.text(op.path);
    case 'rlimit':
      to.u32(op.resource);
      to.u64(op.soft === null ? infinity : BigInt(op.soft));
      return to.u64(op.hard === null ? infinity : BigInt(op.hard));
    case 'ids':
      to.u32(op.uid);
      to.u32(op.gid);
      to.u32(op.groups.length);
      return op.groups.forEach((group) => to.u32(group));
    case 'capabilities':
      to.u64(op.bounding);
      to.u64(op.permitted);
      to.u64(op.effective);
      to.u64(op.inheritable);
      return to.u64(op.ambient);
    case 'seccomp':
      return to.bytes(op.filter);
    case 'umask':
      return to.u32(op.mask);
    case 'cwd':
      return to.text(op.path);
    case 'schedule':
      to.u32(op.policy);
      to.u32(op.nice >>> 0);
      return to.u32(op.priority);
    case 'label':
      return to.text(op.context);
    case 'exec':
      to.text(op.path);
      to.texts(op.arguments);
      return to.texts(op.environment);
    case 'descriptor':
      return to.u32(op.number);
    case 'owner':
      to.u32(op.uid);
      to.u32(op.gid);
      return to.u32(op.mode);
    case 'write':
      return to.bytes(op.bytes);
  }
}
