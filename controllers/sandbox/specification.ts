// From a manifest and its entry to the operations of a start. Pure: what has to be opened or looked up stands in them by
// name, and sandbox-open.ts puts descriptors and numbers in its place.
import { posix } from 'node:path';
import type { Op } from '../../native/wire/ops.ts';
import type { ContainerEntry } from '../../state/desired.ts';
import type { Manifest, Mount, MountOption } from '../../state/schema/manifest.ts';
import { TerminalError } from '../failure.ts';
import { applicationOps, type ApplicationOp } from './application-ops.ts';

/**
 * Where a tree comes from. Paths are the host's; `dir` is resolved within the image of the resource.
 */
export type TreeSource =
  | { readonly kind: 'image'; readonly path: string }
  | {
      readonly kind: 'resource';
      readonly path: string;
      readonly id: string;
      readonly dir: string;
    }
  /** The directory of the image that has its device nodes. */
  | { readonly kind: 'devices'; readonly path: string; readonly dir: string }
  | { readonly kind: 'bind'; readonly path: string }
  | { readonly kind: 'persist' | 'sockets'; readonly path: string };

/** Which MOUNT_ATTR_* a tree gets, and whether what is mounted below it comes along. */
export interface TreeFlags {
  readonly readOnly: boolean;
  readonly nosuid: boolean;
  readonly nodev: boolean;
  readonly noexec: boolean;
  readonly recursive: boolean;
}

/** An operation of the prepare list that needs nothing from the host, or one that still names what it needs. */
export type SandboxOp =
  | Exclude<Op, { readonly fd: number } | { readonly op: 'ids' | 'seccomp' | 'exec' }>
  | { readonly op: 'root'; readonly source: TreeSource; readonly flags: TreeFlags }
  | { readonly op: 'tree'; readonly source: TreeSource; readonly flags: TreeFlags; readonly target: string }
  /** The image's own device nodes, where it has the usual ones and no others, else a file system with those. */
  | {
      readonly op: 'devices';
      readonly image: string;
      readonly target: string;
      readonly links: boolean;
      /** The container says how it is on this socket, and so the file system is its own in any case. */
      readonly socket?: string;
    }
  /** The network namespace of /run/netns. */
  | { readonly op: 'network'; readonly namespace: string }
  | ApplicationOp;

/** Where an image is mounted. */
export interface MountedImage {
  readonly path: string;
}

/** What a sandbox is made from. */
export interface SandboxInput {
  readonly manifest: Manifest;
  readonly entry: Pick<ContainerEntry, 'rlimits' | 'oomScoreAdj'>;
  /** Whether it says how it is (sd_notify(3)). */
  readonly notifies: boolean;
  readonly image: MountedImage;
  /** By target in the container. */
  readonly resources: ReadonlyMap<string, MountedImage & { readonly id: string }>;
  readonly dataDir: string;
  readonly socketDir: string;
  /** Bytes that are kept of each stream that goes to the log. */
  readonly outputSize: number;
}

const CLONE_NEWNS = 0x00020000;
const CLONE_NEWCGROUP = 0x02000000;
const CLONE_NEWUTS = 0x04000000;
const CLONE_NEWIPC = 0x08000000;
const CLONE_NEWPID = 0x20000000;
const CLONE_NEWNET = 0x40000000;
/** MOUNT_ATTR_* of mount_setattr(2). */
const MOUNT_ATTR_RDONLY = 1;
const MOUNT_ATTR_NOSUID = 2;
const MOUNT_ATTR_NODEV = 4;
const MOUNT_ATTR_NOEXEC = 8;
const hostNameLimit = 64;
/** What a message can be sent to: sun_path (unix(7)) with its end, and what op NOTIFY takes. */
const longestSocket = 100;

/**
 * What these two tell or do for the whole host is hidden: the default list of the OCI runtime specification, and the power
 * meters that leak what other programs compute (CVE-2020-8694). The specification's read-only paths (bus, fs, irq, sys,
 * sysrq-trigger) are read-only as the whole of proc is.
 */
export const masked = {
  proc: ['acpi', 'asound', 'kcore', 'keys', 'latency_stats', 'sched_debug', 'scsi', 'timer_list', 'timer_stats'],
  sysfs: ['devices/virtual/powercap', 'firmware'],
} as const;

/**
 * The prepare list, in the order of execution. Throws TerminalError for what the manifest asks and no sandbox can give.
 * The control groups are not in it: they belong to the attempt.
 */
export function sandboxOps(input: SandboxInput): SandboxOp[] {
  const { manifest, image } = input;
  const { network } = manifest;
  const mounts = [...(manifest.mounts ?? [])].sort(([a], [b]) => compareTargets(a, b));
  return [
    { op: 'namespaces', flags: namespacesOf(network) },
    { op: 'output', stream: 1, ...outputOf(input, 'stdout') },
    { op: 'output', stream: 2, ...outputOf(input, 'stderr') },
    ...(typeof network === 'object' ? [{ op: 'network', namespace: network.namespace } as const] : []),
    { op: 'hostname', name: manifest.name.slice(0, hostNameLimit) },
    {
      op: 'root',
      source: { kind: 'image', ...image },
      // Nodes work nowhere but in /dev, and there only those that belong there (sandbox-devices.ts).
      flags: flagsOf(['nosuid', 'nodev']),
    },
    ...mounts.flatMap(([target, mount]) => mountOps(input, target, mount)),
    { op: 'pivot' },
    ...applicationOps(input),
  ];
}

function namespacesOf(network: Manifest['network']): number {
  const own = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  return network === undefined ? own | CLONE_NEWNET : own;
}

function outputOf({ manifest, outputSize }: SandboxInput, stream: 'stdout' | 'stderr') {
  const output = manifest.io?.[stream];
  if (output === 'pipe') return { mode: 'ring', size: outputSize } as const;
  return { mode: output === 'inherit' ? 'relay' : 'null', size: 0 } as const;
}

/** Parents first, each level in the order of its names. */
function compareTargets(a: string, b: string): number {
  const one = parts(a);
  const other = parts(b);
  for (const [index, part] of one.entries()) {
    const against = other[index];
    if (against === undefined) return 1;
    if (part !== against) return part < against ? -1 : 1;
  }
  return one.length - other.length;
}

function parts(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function flagsOf(options: readonly (MountOption | 'ro')[]): TreeFlags {
  return {
    readOnly: !options.includes('rw'),
    nosuid: options.includes('nosuid'),
    nodev: options.includes('nodev'),
    noexec: options.includes('noexec'),
    recursive: options.includes('rec'),
  };
}

function mountOps(input: SandboxInput, target: string, mount: Mount): SandboxOp[] {
  const kernelAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  const tree = (source: TreeSource, options: readonly MountOption[]): SandboxOp[] => [
    { op: 'tree', source, flags: flagsOf(options), target },
  ];
  switch (mount.type) {
    case 'bind':
      return tree({ kind: 'bind', path: mount.host }, bindOptions(input.manifest, mount));
    case 'persist':
      return tree({ kind: 'persist', path: persistPath(input) }, ['rw', 'nosuid', 'nodev', 'noexec']);
    case 'sockets':
      return tree({ kind: 'sockets', path: input.socketDir }, ['nosuid', 'nodev', 'noexec']);
    case 'resource': {
      const resource = input.resources.get(target);
      if (resource === undefined) {
        throw new TerminalError('MissingResource', `no installed version of ${mount.name} matches ${mount.version}`);
      }
      // `rw` would say nothing: an image cannot be written.
      const options = (mount.options ?? []).filter((option) => option !== 'rw');
      return tree({ kind: 'resource', ...resource, dir: mount.dir }, ['nosuid', 'nodev', ...options]);
    }
    case 'proc':
    case 'sysfs':
      return [
        { op: 'filesystem', type: mount.type, target, attributes: kernelAttributes, options: [] },
        ...masked[mount.type].map((path) => ({ op: 'mask', path: `${target}/${path}` }) as const),
      ];
    case 'tmpfs': {
      const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
      return [{ op: 'filesystem', type: 'tmpfs', target, attributes, options: [`size=${mount.size}`, 'mode=1777'] }];
    }
    case 'dev': {
      const links = [...(input.manifest.mounts ?? []).values()].some(({ type }) => type === 'proc');
      const socket = input.notifies ? noticePath(input.manifest) : null;
      const own = socket === null || posix.dirname(socket) !== posix.normalize(target) ? {} : { socket };
      return [{ op: 'devices', image: input.image.path, target, links, ...own }];
    }
  }
}

/**
 * What a container with CAP_MKNOD may write to is nodev: it could make itself any disk of the host there. A bind of /dev is
 * about devices and stays as it was asked for.
 */
function bindOptions({ capabilities = [] }: Manifest, bind: Extract<Mount, { type: 'bind' }>): readonly MountOption[] {
  const { host, options = [] } = bind;
  const makesDevices = capabilities.includes('CAP_MKNOD') && options.includes('rw') && !/^\/dev(\/|$)/.test(host);
  return makesDevices ? [...options, 'nodev'] : options;
}

/**
 * Where in the container the socket lies on which it says how it is: in its /dev, which the runtime makes and nobody there
 * can write to; null: it has none, and the socket an abstract name.
 */
export function noticePath({ mounts = new Map<string, Mount>() }: Manifest): string | null {
  const [dev] = [...mounts]
    .filter(([, { type }]) => type === 'dev')
    .map(([target]) => posix.normalize(target))
    .sort();
  const path = dev === undefined ? null : posix.join(dev, 'northstate-notify');
  return path === null || Buffer.byteLength(path) > longestSocket ? null : path;
}

/** The directory that all versions of a name share. */
function persistPath({ dataDir, manifest }: SandboxInput): string {
  return `${dataDir}/${manifest.name}`;
}

/** The MOUNT_ATTR_* of a tree's flags. */
export function treeAttributes({ readOnly, nosuid, nodev, noexec }: TreeFlags): number {
  return (
    (readOnly ? MOUNT_ATTR_RDONLY : 0) |
    (nosuid ? MOUNT_ATTR_NOSUID : 0) |
    (nodev ? MOUNT_ATTR_NODEV : 0) |
    (noexec ? MOUNT_ATTR_NOEXEC : 0)
  );
}
