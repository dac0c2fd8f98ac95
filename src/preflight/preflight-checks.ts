// Each check is one pure function of what is planned and of what the host is.
import { join } from 'node:path';
import type { Health, Probe } from '../../state/health.ts';
import type { Finding } from './finding.ts';
import type { HostFacts, IdRanges } from './host-facts.ts';
import type { Planned, PlannedContainer } from './planned.ts';

export type Check = (planned: Planned, host: HostFacts) => Finding[];

/** Packages must fit: into what their repository may hold, and what its file system has left. */
export const checkSpace: Check = ({ installs, repositories }, { free }) => {
  const findings: Finding[] = [];
  const coming = new Map<string, { packages: number; bytes: number }>();
  const onDevice = new Map<number, number>();
  for (const { entry, repository, size } of installs) {
    const into = repositories.get(repository);
    if (into === undefined) continue;
    const { packages, bytes } = coming.get(repository) ?? { packages: into.packages, bytes: into.size };
    coming.set(repository, { packages: packages + 1, bytes: bytes + (size ?? 0) });
    const { containers: most, size: largest } = into.capacity;
    const remedy = `raise capacity of the repository ${repository}, or uninstall what is not needed`;
    if (most !== null && packages + 1 > most) {
      findings.push({ check: 'space', entry, fact: `the repository ${repository} may hold ${most} packages`, remedy });
    }
    if (largest !== null && bytes + (size ?? 0) > largest) {
      const fact = `the repository ${repository} may hold ${largest} bytes, and would have ${bytes + (size ?? 0)}`;
      findings.push({ check: 'space', entry, fact, remedy });
    }
    const disk = free.get(repository);
    if (disk === undefined) continue;
    const needed = (onDevice.get(disk.device) ?? 0) + (size ?? 0);
    onDevice.set(disk.device, needed);
    if (needed <= disk.bytes) continue;
    const fact = `${into.dir ?? repository} has ${disk.bytes} bytes left, and what is to be installed takes ${needed}`;
    findings.push({ check: 'space', entry, fact, remedy: 'make room there, or install less at once' });
  }
  return findings;
};

/** Hard limits of what runs must not promise more memory than there is. */
export const checkMemory: Check = ({ containers }, { memory }) => {
  const limited = containers
    .map(({ key, runs, cgroups }) => ({ key, limit: runs ? (cgroups?.memory?.memory_hard_limit ?? 0) : 0 }))
    .filter(({ limit }) => limit > 0)
    .sort((a, b) => b.limit - a.limit);
  const sum = limited.reduce((all, { limit }) => all + limit, 0);
  const [largest] = limited;
  if (memory === null || largest === undefined || sum <= memory) return [];
  const fact = `memory_hard_limit of ${limited.length} containers add up to ${sum} bytes, and there are ${memory}`;
  const remedy = `lower them; that of ${largest.key}, ${largest.limit}, is the highest`;
  return [{ check: 'memory', entry: largest.key, fact, remedy }];
};

/** Each image takes a loop device. */
export const checkLoopDevices: Check = ({ images }, { loopDevices, absent }) => {
  const needed = images.filter(({ isMounted }) => !isMounted);
  const [first] = needed;
  if (first === undefined || needed.length <= loopDevices) return [];
  const fact = `${needed.length} images are to be mounted, and there are ${loopDevices} free loop devices`;
  const brings = absent.get('loop devices') ?? 'CONFIG_BLK_DEV_LOOP; as a module: modprobe loop';
  return [{ check: 'loop-devices', entry: first.entry, fact, remedy: `have the kernel make more: ${brings}` }];
};

/** Images of repositories with `integrity: dm-verity` take a device mapper with that target. */
export const checkDeviceMapper: Check = ({ images }, { absent }) => {
  const brings = absent.get('dm-verity');
  if (brings === undefined) return [];
  return images
    .filter(({ integrity, isMounted }) => integrity === 'dm-verity' && !isMounted)
    .map(({ id, entry }) => ({
      ...{ check: 'device-mapper', entry },
      fact: `${id} is to be checked by dm-verity, which this kernel does not have`,
      remedy: `${brings}, or integrity: full-check of its repository`,
    }));
};

/** What of the kernel a container needs: the feature of `northstate check`, and what asks for it. */
function kernelNeeds({ runs, paused, manifest, cgroups }: PlannedContainer): (readonly [string, string])[] {
  if (!runs) return [];
  const { cpu, memory, blkio, pids } = cgroups ?? {};
  const hasSet = cpu?.cpus !== undefined || cpu?.mems !== undefined;
  const hasTime = Object.keys(cpu ?? {}).some((field) => field !== 'cpus' && field !== 'mems');
  const seccomp = manifest?.seccomp === undefined ? [] : (['filters', 'libseccomp'] as const);
  return [
    ...(hasTime ? [['cpu', 'cgroups.cpu'] as const] : []),
    ...(hasSet ? [['cpuset', 'cgroups.cpu.cpus or mems'] as const] : []),
    ...(memory === undefined ? [] : [['memory', 'cgroups.memory'] as const]),
    ...(blkio === undefined ? [] : [['blkio', 'cgroups.blkio'] as const]),
    ...(pids === undefined ? [] : [['pids', 'cgroups.pids'] as const]),
    ...(paused ? [['freezing', 'paused'] as const] : []),
    ...seccomp.map((name) => [name, 'seccomp'] as const),
  ];
}

/** File systems of images, controllers of limits, filters: options of the kernel that manifests and entries need. */
export const checkKernelOptions: Check = ({ containers, images }, { absent }) => {
  const ofImages = images
    .filter(({ type, isMounted }) => !isMounted && absent.has(type))
    .map(({ id, entry, type }) => finding(entry, `the image of ${id} is ${type}`, type));
  const ofContainers = containers.flatMap((container) =>
    kernelNeeds(container)
      .filter(([feature]) => absent.has(feature))
      .map(([feature, field]) => finding(container.key, `${field} needs ${feature}`, feature)),
  );
  return [...ofImages, ...ofContainers];

  function finding(entry: string, asks: string, feature: string): Finding {
    return { check: 'kernel', entry, fact: `${asks}, which is not there`, remedy: absent.get(feature) ?? '' };
  }
};

/** Users and groups by number must exist for the runtime: in a user namespace only some do. */
export const checkUsers: Check = ({ containers }, { users, groups }) =>
  containers.flatMap(({ key, runs, manifest }) => {
    if (!runs || manifest === null) return [];
    const sockets = [...(manifest.sockets?.values() ?? [])];
    const has = (ranges: IdRanges, id: number) => ranges.some(([first, last]) => id >= first && id <= last);
    const lacking = [
      ...[manifest.uid, ...sockets.flatMap(({ uid = [] }) => uid)]
        .filter((id) => !has(users, id))
        .map((id) => `user ${id}`),
      ...[manifest.gid, ...sockets.flatMap(({ gid = [] }) => gid)]
        .filter((id) => !has(groups, id))
        .map((id) => `group ${id}`),
    ];
    return [...new Set(lacking)].map((who): Finding => ({
      ...{ check: 'users', entry: key, fact: `${who} of its manifest is not mapped in this user namespace` },
      remedy: 'run northstate outside of it, or have its uid_map and gid_map hold that number (user_namespaces(7))',
    }));
  });

/** Supplementary groups by name must be in the host's group file. */
export const checkGroups: Check = ({ containers }, { unknownGroups }) =>
  containers.flatMap(({ key, runs, manifest }) =>
    (runs ? (manifest?.suppl_groups ?? []) : [])
      .filter((name) => unknownGroups.has(name))
      .map((name) => ({
        ...{ check: 'groups', entry: key, fact: `there is no group ${name} on this host` },
        remedy: `groupadd --system ${name}, or leave it out of suppl_groups`,
      })),
  );

/** Binds must lead somewhere. */
export const checkHostPaths: Check = ({ containers }, { missingPaths }) =>
  containers.flatMap(({ key, runs, manifest }) =>
    (runs ? [...(manifest?.mounts ?? [])] : []).flatMap(([target, mount]): Finding[] => {
      if (mount.type !== 'bind' || !missingPaths.has(mount.host)) return [];
      const fact = `${mount.host}, which it has at ${target}, is not there`;
      return [{ check: 'host-paths', entry: key, fact, remedy: `make ${mount.host}, or leave the bind out` }];
    }),
  );

/** Network namespaces by name must be there. */
export const checkNetworkNamespaces: Check = ({ containers }, { missingNamespaces }) =>
  containers.flatMap(({ key, runs, manifest }): Finding[] => {
    const network = runs ? manifest?.network : undefined;
    if (typeof network !== 'object' || !missingNamespaces.has(network.namespace)) return [];
    const fact = `there is no network namespace ${network.namespace}`;
    return [{ check: 'network', entry: key, fact, remedy: `ip netns add ${network.namespace}` }];
  });

/** No socket is two containers': files below socketDir, and addresses that each is to answer on in the same network. */
export const checkSockets: Check = ({ containers }, { socketDir, ownSockets }) => {
  const claimed = new Map<string, string>([...ownSockets].map((path) => [path, 'the runtime']));
  const findings: Finding[] = [];
  for (const { key, runs, manifest, health } of containers) {
    if (!runs || manifest === null) continue;
    const files = [...(manifest.sockets?.keys() ?? [])].map((name) =>
      join(socketDir, `${manifest.name}:${manifest.version}:${name}`),
    );
    const { network } = manifest;
    const shared = network === undefined ? null : typeof network === 'object' ? network.namespace : 'the host';
    const ports = shared === null ? [] : addressesOf(health).map((address) => `${address} in the network of ${shared}`);
    for (const socket of new Set([...files, ...ports])) {
      const other = claimed.get(socket);
      if (other === undefined) {
        claimed.set(socket, key);
        continue;
      }
      const remedy = `give one of them another, or let only one of ${other} and ${key} run`;
      findings.push({ check: 'sockets', entry: key, fact: `${socket} is claimed by ${other} as well`, remedy });
    }
  }
  return findings;
};

/** What is to come back with a revert must be kept before: within the bounds of the configuration, and where there is room. */
export const checkData: Check = ({ containers }, { data, freeForData }) => {
  let needed = 0;
  return containers.flatMap(({ key, runs, keeps }): Finding[] => {
    if (!runs || keeps === null) return [];
    const found = data.get(keeps) ?? 0;
    const own = { check: 'data', entry: key } as const;
    if (typeof found === 'string') {
      const fact = `its persistent data cannot be kept: ${found}`;
      return [
        { ...own, fact, remedy: 'raise snapshot in the configuration, or leave persist: { snapshot: true } out' },
      ];
    }
    needed += found;
    if (freeForData === null || needed <= freeForData) return [];
    const fact = `a copy of its persistent data takes ${needed} bytes, and ${freeForData} are left there`;
    return [{ ...own, fact, remedy: 'make room in dataDir, or leave persist: { snapshot: true } out' }];
  });
};

/** Where a container says that it answers. */
function addressesOf(health: Health | null): string[] {
  const probes = [health?.ready, health?.alive].filter(
    (probe): probe is Probe => typeof probe === 'object' && probe !== null,
  );
  return probes.flatMap(({ target }) =>
    target.kind === 'tcp' || target.kind === 'http' ? [`${target.address}:${target.port}`] : [],
  );
}

export const checks: readonly Check[] = [
  checkSpace,
  checkMemory,
  checkLoopDevices,
  checkDeviceMapper,
  checkKernelOptions,
  checkUsers,
  checkGroups,
  checkHostPaths,
  checkNetworkNamespaces,
  checkSockets,
  checkData,
];
