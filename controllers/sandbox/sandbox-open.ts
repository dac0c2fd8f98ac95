// Both halves of a start as the launcher takes them: the operations of specification.ts with everything opened that they name.
import { hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { limitWrite } from './limit-write.ts';
import type { Op } from '../../native/wire/ops.ts';
import { compileFilter } from '../../native/seccomp-filter.ts';
import type { Cgroups as Section, Manifest } from '../../state/schema/manifest.ts';
import type { Cgroups, Leaf, LimitFiles } from '../cgroups/cgroups.ts';
import { sectionOf } from '../cgroups/cgroups-plan.ts';
import type { Operations, Sandbox, Sandboxes } from '../containers/containers-act.ts';
import { healthOf, notifies, revisionOf } from '../containers/readiness.ts';
import type { Target, View } from '../controller.ts';
import { deviceOps } from './sandbox-devices.ts';
import { TerminalError } from '../failure.ts';
import { messageOf } from '../../state/errno.ts';
import { groupNumbers } from '../host-groups.ts';
import { openBindSource } from './bind-source.ts';
import { notifyOps, notifyWords, openHealth, type Joining } from './health-open.ts';
import { openPersist } from './persist.ts';
import { openSource } from './sandbox-trees.ts';
import { sandboxOps, type SandboxInput, type SandboxOp } from './specification.ts';
import { besideProfile, seccompRules } from './seccomp-profile.ts';
import { startOf } from './start-command.ts';
import type { Descriptors } from './start-descriptors.ts';

/** Of the image's own device nodes. */
export const deviceFlags = { readOnly: true, nosuid: true, nodev: false, noexec: true, recursive: false };
const CLONE_NEWNET = 0x40000000;
/** Of the persist directory. */
export const persistMode = 0o700;
const namespaceDir = '/run/netns';
/** NSFS_MAGIC (linux/magic.h). */
const nsfsMagic = 0x6e736673;

export interface SandboxPorts {
  readonly dataDir: string;
  readonly socketDir: string;
  /** Bytes that are kept of each stream that goes to the log. */
  readonly outputSize: number;
  /** The control groups (cgroups.ts). */
  readonly leaf: Cgroups['leaf'];
  readonly joinLeaf: Cgroups['joinLeaf'];
  readonly limits: (name: string, section: Section | null) => LimitFiles;
  readonly descriptors: Pick<Descriptors, 'open'>;
  /** The kernel enforces or logs by an SELinux policy: contexts of manifests mean something. */
  readonly selinux: boolean;
  readonly log: Pick<Logger, 'warn'>;
}

/** Everything it throws for a package that cannot be started is a TerminalError; a failed call is a SyscallError. */
export function createSandboxes(ports: SandboxPorts): Sandboxes {
  return {
    hash: (view, target) => hashNow(specified(inputOf(view, target, ports))),
    prepare: (view, target, id) => prepare(view, target, id, ports),
    go: (_view, target, { id }) => go(target, id, ports),
    health(view, target, attempt) {
      const health = target.entry.paused ? null : healthOf(target);
      return openHealth(attempt, revisionOf(target), health, () => joining(view, target, attempt.id, ports));
    },
  };
}

/** What a sandbox is made from, by what is observed now. */
export function inputOf(
  view: View,
  target: Target,
  { dataDir, socketDir, outputSize }: Pick<SandboxPorts, 'dataDir' | 'socketDir' | 'outputSize'>,
): SandboxInput {
  const { manifest } = packageOf(target);
  const image = view.mounts.find(({ version }) => version === target.version);
  if (image === undefined) throw new Error(`${target.key}: its image is not mounted`);
  const resources = target.resources.flatMap(({ target: at, id }) => {
    const mount = id === null ? undefined : view.resourceMounts.get(id);
    return mount === undefined ? [] : ([[at, { id: mount.id, path: mount.target }]] as const);
  });
  return {
    manifest,
    entry: target.entry,
    notifies: notifies(healthOf(target)),
    image: { path: image.target },
    resources: new Map(resources),
    dataDir,
    socketDir,
    outputSize,
  };
}

function packageOf(target: Target): NonNullable<Target['package']> {
  if (target.package === null) throw new Error(`${target.key}: no package is installed`);
  return target.package;
}

async function prepare(view: View, target: Target, id: number, ports: SandboxPorts): Promise<Sandbox> {
  // Who may mount would find the top of every v1 hierarchy that it has no group in, and there the program that the host runs
  // when a group empties (release_agent, CVE-2022-0492).
  const mayMount = packageOf(target).manifest.capabilities?.includes('CAP_SYS_ADMIN') === true;
  // Made by another thread while the trees are opened here. One that stays without an attempt is removed as a stray.
  const making = ports.leaf(view.name, id, sectionOf(target), mayMount);
  const opened: number[] = [];
  const close = (): void => opened.forEach((fd) => closeSync(fd));
  try {
    const specification = specified(inputOf(view, target, ports));
    const lacks: string[] = [];
    const ops = openOps(specification.ops, opened, lacks, ports);
    for (const lack of lacks) ports.log.warn({ container: view.name, lack }, 'sandbox is made without');
    const made = hashNow(specification);
    const leaf = await making;
    const closeAll = (): void => {
      close();
      leaf.close();
    };
    return {
      ops: [...groupOps(leaf), ...ops, ...notifyOps(target, id, ports)],
      hash: made,
      lacks: bounded(lacks),
      close: closeAll,
    };
  } catch (error) {
    close();
    await making.then(
      (leaf) => leaf.close(),
      () => undefined,
    );
    throw error;
  }
}

const joined: ReadonlySet<SandboxOp['op']> = new Set<SandboxOp['op']>([
  ...(['rlimit', 'schedule', 'umask', 'cwd', 'identity', 'capabilities', 'label', 'filter', 'oom-score'] as const),
]);

/** How a process joins what runs: in its groups, with its identity, limits and filter. */
async function joining(view: View, target: Target, id: number, ports: SandboxPorts): Promise<Joining> {
  const { manifest } = packageOf(target);
  const mayMount = manifest.capabilities?.includes('CAP_SYS_ADMIN') === true;
  const { environment } = startOf({ manifest, entry: target.entry, dataDir: ports.dataDir });
  const leaf = await ports.joinLeaf(view.name, id, sectionOf(target), mayMount);
  const specification = sandboxOps(inputOf(view, target, ports)).filter(({ op }) => joined.has(op));
  const ops = [...groupOps({ ...leaf, oom: null }), ...openOps(specification, [], [], ports)];
  return { ops, environment: [...environment].map(([key, value]) => `${key}=${value}`), close: leaf.close };
}

function groupOps({ directory, procs, oom }: Leaf): Op[] {
  return [
    ...(directory === null ? [] : [{ op: 'cgroup-into', fd: directory } as const]),
    ...procs.map((fd) => ({ op: 'cgroup-join', fd }) as const),
    ...(oom === null ? [] : [{ op: 'oom', fd: oom } as const]),
  ];
}

/** A record has room for so many bytes of them (attempt-record.ts). */
const longestLacks = 512;

function bounded(lacks: readonly string[]): readonly string[] {
  let left = longestLacks;
  const some = lacks.filter((lack) => (left -= Buffer.byteLength(lack)) >= 0);
  return some.length === lacks.length ? lacks : [...some, `${lacks.length - some.length} more`];
}

/**
 * Puts descriptors and numbers in the place of names. What is opened is added to `opened`, also when it throws; what the host
 * does not have, and the container can do without, to `lacks`.
 */
function openOps(
  specification: readonly SandboxOp[],
  opened: number[],
  lacks: string[],
  { selinux }: Pick<SandboxPorts, 'selinux'>,
): Op[] {
  const late: Op[] = [];
  const open = (op: SandboxOp): readonly Op[] => {
    switch (op.op) {
      case 'root':
      case 'tree': {
        const target = op.op === 'root' ? '/' : op.target;
        const tree = openSource(op.source, op.flags, target);
        if (tree === null) {
          lacks.push(`${op.source.path}, which is to be mounted on ${target}, is not on the host`);
          return [];
        }
        opened.push(tree.fd);
        late.push(...tree.late);
        return [op.op === 'root' ? { op: 'root', fd: tree.fd } : { op: 'tree', fd: tree.fd, target }];
      }
      case 'devices': {
        const source = { kind: 'devices', path: op.image, dir: op.target } as const;
        const tree = op.socket === undefined ? openSource(source, deviceFlags, op.target) : null;
        if (tree !== null) opened.push(tree.fd);
        const made = tree === null ? deviceOps(op) : { ops: [], late: tree.late };
        late.push(...made.late);
        return tree === null ? made.ops : [{ op: 'tree', fd: tree.fd, target: op.target }];
      }
      case 'network': {
        const fd = openNamespace(op.namespace);
        opened.push(fd);
        return [{ op: 'setns', fd, flags: CLONE_NEWNET }];
      }
      case 'identity': {
        const { known, unknown } = groupNumbers(op.groups);
        lacks.push(...unknown.map((group) => `the host has no group ${group}`));
        return [{ op: 'ids', uid: op.uid, gid: op.gid, groups: known }];
      }
      case 'filter':
        return [{ op: 'seccomp', filter: filterOf(op) }];
      case 'all-capabilities': {
        const set = ownCapabilities();
        return [{ op: 'capabilities', bounding: set, permitted: set, effective: set, inheritable: set, ambient: set }];
      }
      case 'label':
        return selinux ? [op] : [];
      case 'pivot':
        return [op, ...late];
      default:
        return [op];
    }
  };
  return specification.flatMap(open);
}

/** Whoever joins: the groups of the leaf, and what `joinOps` says. Nothing of it names anything on the host. */
export function openJoin(specification: readonly SandboxOp[], leaf: Leaf, selinux: boolean): Op[] {
  return [...groupOps({ ...leaf, oom: null }), ...openOps(specification, [], [], { selinux })];
}

/** The permitted set of this process (proc_pid_status(5)). */
function ownCapabilities(): bigint {
  const [, set = '0'] = /^CapPrm:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return BigInt(`0x${set}`);
}

/** The program of seccomp(2). */
export function filterOf({ seccomp, capabilities }: Extract<SandboxOp, { op: 'filter' }>): Uint8Array {
  const rules = (): ReturnType<typeof seccompRules> => seccompRules(seccomp, capabilities);
  return compileFilter(textOf([seccomp, capabilities]), rules, besideProfile(seccomp));
}

/** One that is not there is waited for. Throws TerminalError, or an Error for a file that is no namespace yet. */
function openNamespace(name: string): number {
  const path = join(namespaceDir, name);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const message = `network namespace ${name}: ${path} cannot be opened: ${messageOf(error)}`;
    throw new TerminalError('StartFailed', message, { cause: error, missing: path });
  }
  if (statfsSync(path).type === nsfsMagic) return fd;
  closeSync(fd);
  // ip-netns(8) makes the file first and mounts the namespace on it then.
  throw new Error(`network namespace ${name}: no namespace is mounted on ${path} yet`);
}

/** What a sandbox of a package was last made from: the next start of the same makes it of the same. */
interface Specified {
  readonly input: SandboxInput;
  readonly ops: readonly SandboxOp[];
  /** As the hash has them. */
  readonly text: string;
  /** The last hash, and what the names led to then. */
  last: { readonly identities: string; readonly hash: string } | null;
}

const specifications = new WeakMap<Manifest, Specified>();

function specified(input: SandboxInput): Specified {
  const known = specifications.get(input.manifest);
  if (known !== undefined && isSameInput(known.input, input)) return known;
  const ops = sandboxOps(input);
  const { rlimits, oomScoreAdj } = input.entry;
  const made = { input: { ...input, entry: { rlimits, oomScoreAdj } }, ops, text: textOf(ops), last: null };
  specifications.set(input.manifest, made);
  return made;
}

/** Nothing of what is compared is ever changed: the same object says the same. */
function isSameInput(a: SandboxInput, b: SandboxInput): boolean {
  return (
    a.manifest === b.manifest &&
    a.entry.rlimits === b.entry.rlimits &&
    a.entry.oomScoreAdj === b.entry.oomScoreAdj &&
    a.notifies === b.notifies &&
    a.image.path === b.image.path &&
    a.dataDir === b.dataDir &&
    a.socketDir === b.socketDir &&
    a.outputSize === b.outputSize &&
    a.resources.size === b.resources.size &&
    [...a.resources].every(([target, { id, path }]) => {
      const other = b.resources.get(target);
      return other?.id === id && other.path === path;
    })
  );
}

/** hashOf() of it. */
function hashNow(specification: Specified): string {
  const identities = textOf(specification.ops.map(identityOf));
  if (specification.last?.identities === identities) return specification.last.hash;
  specification.last = { identities, hash: hash('sha256', `[${specification.text},${identities}]`) };
  return specification.last.hash;
}

/** SHA-256 (hex) over a specification and over what its names lead to now. */
export function hashOf(specification: readonly SandboxOp[]): string {
  return hash('sha256', textOf([specification, specification.map(identityOf)]));
}

function identityOf(op: SandboxOp): unknown {
  switch (op.op) {
    case 'tree':
      if (op.source.kind === 'resource' || op.source.kind === 'image') return null;
      return op.source.kind === 'bind' ? bindIdentity(op.source.path) : fileIdentity(op.source.path);
    case 'network':
      return fileIdentity(join(namespaceDir, op.namespace));
    case 'identity':
      return groupNumbers(op.groups).known;
    default:
      return null;
  }
}

/** What is refused now makes another sandbox than what could be opened, as what is missing does. */
function bindIdentity(path: string): string {
  try {
    const fd = openBindSource(path);
    try {
      const { dev, ino } = fstatSync(fd, { bigint: true });
      return `${dev}:${ino}`;
    } finally {
      closeSync(fd);
    }
  } catch {
    return 'missing';
  }
}

function fileIdentity(path: string): string {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? 'missing' : `${stats.dev}:${stats.ino}`;
}

/** JSON with sorted entries of maps, and whole numbers of any size. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === 'bigint') return String(part);
    return part instanceof Map ? [...part].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)) : part;
  });
}

async function go(target: Target, id: number, ports: SandboxPorts): Promise<Operations> {
  const { manifest } = packageOf(target);
  const start = startOf({ manifest, entry: target.entry, dataDir: ports.dataDir });
  const closing: (() => void)[] = [];
  const close = (): void => closing.forEach((one) => one());
  try {
    const limits = ports.limits(target.entry.name, sectionOf(target));
    closing.push(limits.close);
    const ops: Op[] = limits.files.map(limitWrite);
    if (start.persist !== null) {
      const fd = openPersist(start.persist);
      closing.push(() => closeSync(fd));
      ops.push({ op: 'owner', fd, uid: manifest.uid, gid: manifest.gid, mode: persistMode });
    }
    const descriptors = await ports.descriptors.open(manifest, id);
    closing.push(descriptors.close);
    ops.push(...descriptors.ops);
    const said = notifyWords(target, id, ports);
    const variables = new Map([...start.environment, ...descriptors.environment, ...said]);
    const environment = [...variables].map(([key, value]) => `${key}=${value}`);
    ops.push({ op: 'exec', path: start.path, arguments: start.arguments, environment });
    return { ops, close };
  } catch (error) {
    close();
    throw error;
  }
}
