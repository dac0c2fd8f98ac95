// What of the host the checks ask for, read once before they are made. What cannot be told is not held against it.
import { readdirSync, readFileSync } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { groupNumbers } from '../../controllers/host-groups.ts';
import { isMissing } from '../../state/errno.ts';
import { checkHost } from '../check/check-host.ts';
import { dataFacts, type DataFacts } from './data-facts.ts';
import type { Planned } from './planned.ts';

/** Numbers of a user namespace that stand for others outside, first and last. */
export type IdRanges = readonly (readonly [number, number])[];

export interface HostFacts {
  /** Bytes of memory; null = it is not known. */
  readonly memory: number | null;
  /** Bytes that are free, by repository, and which file system that is. */
  readonly free: ReadonlyMap<string, { readonly device: number; readonly bytes: number }>;
  /** Loop devices that can still be had; Infinity: as many as are asked for. */
  readonly loopDevices: number;
  /** Names of features of `northstate check` that are absent, and what brings each. */
  readonly absent: ReadonlyMap<string, string>;
  readonly users: IdRanges;
  readonly groups: IdRanges;
  /** Names of groups that are not there. */
  readonly unknownGroups: ReadonlySet<string>;
  /** Paths of binds that lead to nothing. */
  readonly missingPaths: ReadonlySet<string>;
  /** Network namespaces that are not there. */
  readonly missingNamespaces: ReadonlySet<string>;
  /** Sockets of the runtime itself: their paths. */
  readonly ownSockets: ReadonlySet<string>;
  readonly socketDir: string;
  /** Bytes of persistent data that is to be kept, by container name, or why it cannot be. */
  readonly data: ReadonlyMap<string, number | string>;
  /** Bytes that are free where persistent data is; null = that cannot be told. */
  readonly freeForData: number | null;
}

export interface FactsPorts {
  readonly socketDir: string;
  readonly data: DataFacts;
  /** Paths of the runtime's own sockets. */
  readonly ownSockets: readonly string[];
}

/** Every number stands for itself, as without a user namespace. */
export const everyId: IdRanges = [[0, 0xffff_fffe]];

/** Reads what is asked of any of `plans`. */
export async function readFacts(
  plans: readonly Planned[],
  { socketDir, data, ownSockets }: FactsPorts,
): Promise<HostFacts> {
  const containers = plans.flatMap((planned) => planned.containers);
  const manifests = containers.flatMap(({ manifest }) => (manifest === null ? [] : [manifest]));
  const binds = manifests.flatMap(({ mounts }) =>
    [...(mounts?.values() ?? [])].flatMap((mount) => (mount.type === 'bind' ? [mount.host] : [])),
  );
  const namespaces = manifests.flatMap(({ network }) => (typeof network === 'object' ? [network.namespace] : []));
  const features = await checkHost();
  return {
    memory: memoryOf(),
    free: await freeSpace(plans),
    loopDevices: loopDevices(),
    absent: new Map(
      features.filter(({ presence }) => presence === 'absent').map(({ name, enable }) => [name, enable ?? '']),
    ),
    users: rangesOf('/proc/self/uid_map'),
    groups: rangesOf('/proc/self/gid_map'),
    unknownGroups: new Set(unknownGroups(manifests.flatMap(({ suppl_groups: names = [] }) => names))),
    missingPaths: await missingOf(binds),
    missingNamespaces: new Set(
      [...(await missingOf(namespaces.map((name) => join('/run/netns', name))))].map((path) => path.slice(11)),
    ),
    ownSockets: new Set(ownSockets),
    socketDir,
    ...(await dataFacts(new Set(containers.flatMap(({ keeps }) => keeps ?? [])), data)),
  };
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null; // it cannot be told
  }
}

function memoryOf(): number | null {
  const found = /^MemTotal:\s+(\d+) kB$/m.exec(textOf('/proc/meminfo') ?? '')?.[1];
  return found === undefined ? null : Number(found) * 1024;
}

async function freeSpace(plans: readonly Planned[]): Promise<HostFacts['free']> {
  const free = new Map<string, { device: number; bytes: number }>();
  for (const [id, { dir }] of plans.flatMap(({ repositories }) => [...repositories])) {
    if (dir === null) continue;
    try {
      const [{ bavail, bsize }, { dev }] = await Promise.all([statfs(dir), stat(dir)]);
      free.set(id, { device: dev, bytes: bavail * bsize });
    } catch {
      // The repository's own condition says why it cannot be read.
    }
  }
  return free;
}

/** With /dev/loop-control the kernel makes as many as are asked for; without, those count that are there and free. */
function loopDevices(): number {
  if (textOf('/sys/class/misc/loop-control/dev') !== null) return Infinity;
  const there = namesIn('/sys/block')?.filter((name) => /^loop\d+$/.test(name));
  if (there === undefined) return Infinity;
  return there.filter((name) => textOf(`/sys/block/${name}/loop/backing_file`) === null).length;
}

function namesIn(directory: string): string[] | undefined {
  try {
    return readdirSync(directory);
  } catch {
    return undefined; // it cannot be told
  }
}

/** Lines of user_namespaces(7): first inside, first outside, how many. */
function rangesOf(file: string): IdRanges {
  const lines = (textOf(file) ?? '').trim().split('\n');
  const ranges = lines.flatMap((line): [number, number][] => {
    const [first = Number.NaN, , count = 0] = line.trim().split(/\s+/).map(Number);
    return Number.isNaN(first) || count === 0 ? [] : [[first, first + count - 1]];
  });
  return ranges.length === 0 ? everyId : ranges;
}

function unknownGroups(names: readonly string[]): readonly string[] {
  try {
    return groupNumbers(names).unknown;
  } catch (error) {
    return isMissing(error) ? names : []; // a host without /etc/group has none
  }
}

/** One that cannot be looked at is not missing. */
async function missingOf(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const missing = new Set<string>();
  for (const path of new Set(paths)) {
    await access(path).catch((error: unknown) => {
      if (isMissing(error)) missing.add(path);
    });
  }
  return missing;
}
