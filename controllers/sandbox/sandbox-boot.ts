// A start as the boot player makes it: the operations of both halves with deeds in the place of what sandbox-open.ts opens. What
// counts on something that a boot may change is left for the reconciler, with the reason.
import { limitWrite } from './limit-write.ts';
import { closeSync, existsSync, readFileSync, realpathSync } from 'node:fs';
import type { Deed } from '../../native/wire/boot-plan.ts';
import { encodeOps, type Op } from '../../native/wire/ops.ts';
import type { View, Target } from '../controller.ts';
import { lookAt, type Look } from '../look.ts';
import { groupFile, groupNumbers } from '../host-groups.ts';
import { sectionOf } from '../cgroups/cgroups-plan.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import { messageOf } from '../../state/errno.ts';
import { containerId } from '../../state/container-id.ts';
import { deviceOps, openDevices } from './sandbox-devices.ts';
import { notifyOps, notifyWords } from './health-open.ts';
import { deviceFlags, filterOf, hashOf, inputOf, persistMode } from './sandbox-open.ts';
import { sandboxOps, treeAttributes, type SandboxOp, type TreeFlags, type TreeSource } from './specification.ts';
import { startOf } from './start-command.ts';
import { firstNumber } from './start-descriptors.ts';

/** Why a container is not in a boot plan. */
export class NotAtBoot extends Error {}

export interface BootPorts {
  readonly dataDir: string;
  readonly socketDir: string;
  readonly outputSize: number;
  readonly selinux: boolean;
  readonly groups: Cgroups['boot']['groups'];
}

/** An op list with its descriptors, which are slots. */
interface List {
  readonly bytes: Uint8Array;
  readonly slots: readonly number[];
}

export interface BootStart {
  /** Of the sandbox, in hex. */
  readonly hash: string;
  /** Everything before the first request. */
  readonly deeds: readonly Deed[];
  readonly prepare: List;
  readonly go: List;
  /** What of the host it was made by. */
  readonly looks: readonly Look[];
}

/** `view` is one in which its images are mounted. Throws NotAtBoot. */
export function bootStart(view: View, target: Target, attempt: number, ports: BootPorts): BootStart {
  const { package: found } = target;
  if (found === null) throw new NotAtBoot('no package is installed');
  const { manifest } = found;
  if (manifest.console !== undefined) throw new NotAtBoot('it has a console');
  if (typeof manifest.network === 'object') throw new NotAtBoot('it has a network namespace of the host');
  const opening = createOpening(ports);
  try {
    const specification = sandboxOps(inputOf(view, target, ports));
    const sandbox = opening.sandbox(specification);
    const everywhere = manifest.capabilities?.includes('CAP_SYS_ADMIN') === true;
    const groups = ports.groups(view.name, attempt, sectionOf(target), everywhere);
    opening.add(...groups.deeds);
    const leaf: Op[] = [
      ...(groups.directory === null
        ? []
        : [{ op: 'cgroup-into', fd: opening.open(groups.directory, 'directory') } as const]),
      ...groups.procs.map((path) => ({ op: 'cgroup-join', fd: opening.open(path, 'write') }) as const),
      ...(groups.oom === null ? [] : [{ op: 'oom', fd: opening.open(groups.oom, 'read') } as const]),
    ];
    const limits = groups.limits.map(({ path, value }) =>
      limitWrite({ fd: opening.open(path, 'write'), bytes: Buffer.from(value), path }),
    );
    const go = [...limits, ...opening.start(target, manifest, notifyWords(target, attempt, ports))];
    return {
      hash: hashOf(specification),
      deeds: opening.deeds,
      prepare: listOf([...leaf, ...sandbox, ...notifyOps(target, attempt, ports)]),
      go: listOf(go),
      looks: [...opening.looks, ...groups.looks],
    };
  } catch (error) {
    throw error instanceof NotAtBoot ? error : new NotAtBoot(messageOf(error), { cause: error });
  }
}

function whyNotBound(path: string): string | null {
  if (!existsSync(path)) return `${path} is not on the host`;
  const passing = [path, realpathSync(path)].some((each) => /^(?:\/var)?\/run(?:\/|$)/.test(each));
  return passing ? `${path} is made anew by each boot` : null;
}

function listOf(ops: readonly Op[]): List {
  const { bytes, fds } = encodeOps(ops);
  return { bytes, slots: fds };
}

/** Collects deeds, and numbers the descriptors that they open. */
function createOpening({ dataDir, socketDir, selinux }: BootPorts) {
  const deeds: Deed[] = [];
  const looks: Look[] = [];
  let last = 0;
  const next = (): number => last++;

  function open(path: string, way: Extract<Deed, { deed: 'open' }>['way']): number {
    const slot = next();
    deeds.push({ deed: 'open', slot, path, way });
    return slot;
  }

  function treeOf(from: number, flags: TreeFlags): number {
    const slot = next();
    deeds.push({ deed: 'tree-of', slot, from, recursive: flags.recursive, attributes: treeAttributes(flags) });
    return slot;
  }

  function treeAt(path: string, flags: TreeFlags): number {
    const slot = next();
    deeds.push({ deed: 'tree', slot, path, recursive: flags.recursive, attributes: treeAttributes(flags) });
    return slot;
  }

  function within(root: string, path: string): number {
    const slot = next();
    deeds.push({ deed: 'within', slot, root, path });
    return slot;
  }

  function persist(path: string): number {
    deeds.push({ deed: 'mkdir', path, mode: persistMode });
    return open(path, 'directory without links');
  }

  function bind(path: string): number {
    const looked = lookAt(() => whyNotBound(path));
    if (looked.found !== null) throw new NotAtBoot(looked.found);
    looks.push(looked);
    const slot = next();
    deeds.push({ deed: 'bind', slot, path });
    return slot;
  }

  function source(from: TreeSource, flags: TreeFlags): number {
    switch (from.kind) {
      case 'image':
      case 'sockets':
        return treeAt(from.path, flags);
      case 'persist':
        return treeOf(persist(from.path), flags);
      case 'resource':
      case 'devices':
        return treeOf(within(from.path, from.dir), flags);
      case 'bind':
        return treeOf(bind(from.path), flags);
    }
  }

  function groups(names: readonly string[]): number[] {
    const { known, unknown } = groupNumbers(names);
    if (unknown.length > 0) throw new NotAtBoot(`the host has no group ${unknown.join(', ')}`);
    if (names.length > 0) {
      const looked = lookAt(() => readFileSync(groupFile, 'latin1'));
      looks.push(looked);
      deeds.push({ deed: 'expect', path: groupFile, bytes: Buffer.from(looked.found ?? '', 'latin1') });
    }
    return known;
  }

  /** The image's own nodes where it has the usual ones: what is in an image does not change. */
  function devices(op: Extract<SandboxOp, { op: 'devices' }>): { ops: Op[]; late: Op[] } {
    const { image, target, socket } = op;
    const found = socket === undefined ? openDevices(image, target) : null;
    if (found === null) return deviceOps(op);
    closeSync(found);
    return {
      ops: [{ op: 'tree', fd: source({ kind: 'devices', path: image, dir: target }, deviceFlags), target }],
      late: [],
    };
  }

  function sandbox(specification: readonly SandboxOp[]): Op[] {
    const late: Op[] = [];
    return specification.flatMap((op): readonly Op[] => {
      switch (op.op) {
        case 'root':
          return [{ op: 'root', fd: source(op.source, op.flags) }];
        case 'tree':
          return [{ op: 'tree', fd: source(op.source, op.flags), target: op.target }];
        case 'devices': {
          const made = devices(op);
          late.push(...made.late);
          return made.ops;
        }
        case 'network':
        case 'all-capabilities':
          throw new NotAtBoot('it has a network namespace of the host');
        case 'identity':
          return [{ op: 'ids', uid: op.uid, gid: op.gid, groups: groups(op.groups) }];
        case 'filter':
          return [{ op: 'seccomp', filter: filterOf(op) }];
        case 'label':
          return selinux ? [op] : [];
        case 'pivot':
          return [op, ...late];
        default:
          return [op];
      }
    });
  }

  function start(
    { entry }: Target,
    manifest: NonNullable<Target['package']>['manifest'],
    said: readonly (readonly [string, string])[],
  ): Op[] {
    const { path, arguments: words, environment, persist: kept } = startOf({ manifest, entry, dataDir });
    const ops: Op[] = [];
    if (kept !== null) {
      const fd = open(kept, 'directory without links');
      ops.push({ op: 'owner', fd, uid: manifest.uid, gid: manifest.gid, mode: persistMode });
    }
    const variables = new Map(environment);
    for (const [index, [name, settings]] of [...(manifest.sockets ?? [])].entries()) {
      const { type: kind, passcred = false, uid = 0, gid = 0, mode } = settings;
      const slot = next();
      const file = `${containerId(manifest.name, manifest.version)}:${name}`;
      deeds.push({ deed: 'socket', slot, directory: socketDir, name: file, kind, passcred, uid, gid, mode });
      ops.push({ op: 'descriptor', fd: slot, number: firstNumber + index });
      variables.set(`NORTHSTAR_SOCKET_${name}`, String(firstNumber + index));
    }
    for (const [key, value] of said) variables.set(key, value);
    ops.push({
      ...{ op: 'exec', path, arguments: words },
      environment: [...variables].map(([key, value]) => `${key}=${value}`),
    });
    return ops;
  }

  return { deeds, looks, open, sandbox, start, add: (...more: readonly Deed[]) => void deeds.push(...more) };
}
