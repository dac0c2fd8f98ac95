// The `cgroups` section of a manifest or an entry as values for the kernel's files. Pure.
// v1: https://docs.kernel.org/admin-guide/cgroup-v1/, v2: https://docs.kernel.org/admin-guide/cgroup-v2.html. What a
// section says in terms of v1 is translated to v2 as the OCI runtimes do (crun(1), "CGROUP v2").
import type { Cgroups } from '../../state/schema/manifest.ts';
import { kernelList } from '../../state/schema/number-list.ts';
import { TerminalError } from '../failure.ts';
import { blkio } from './cgroup-limits-blkio.ts';
import { versionOf, type ControllerName, type Hierarchies } from './cgroup-hierarchies.ts';
import { attributesOf, plain, written, clamp, type Limit, type Limits, type Translation } from './cgroup-limit.ts';

/** Of a section and a host, which are never changed: a start asks three times. */
const known = new WeakMap<Cgroups, { readonly hierarchies: Hierarchies; readonly limits: Limits }>();

/** Throws TerminalError (NoController, BadLimit) for what the host cannot do at all. `null` is a section that asks for nothing. */
export function limitsOf(section: Cgroups | null, hierarchies: Hierarchies): Limits {
  const before = section === null ? undefined : known.get(section);
  if (before?.hierarchies === hierarchies) return before.limits;
  const limits = translated(section, hierarchies);
  if (section !== null) known.set(section, { hierarchies, limits });
  return limits;
}

function translated(section: Cgroups | null, hierarchies: Hierarchies): Limits {
  for (const controller of controllersOf(section)) {
    if (controller === 'cpuacct' || versionOf(hierarchies, controller) !== null) continue;
    throw new TerminalError('NoController', `cgroups: this host has no ${controller} controller in cgroup v1 or v2`);
  }
  const found = [cpu, cpuset, memory, blkio, pids].map((translate) => translate(section, hierarchies));
  return { limits: found.flatMap(({ limits }) => limits), leftOut: found.flatMap(({ leftOut }) => leftOut ?? []) };
}

const none: Cgroups = {};
const defaulted = new WeakMap<Hierarchies, WeakMap<Cgroups, Cgroups>>();

/** A section with the limit of processes that holds where it names none; the same object for the same one. */
export function withDefaults(section: Cgroups | null, hierarchies: Hierarchies): Cgroups | null {
  const { mostProcesses: max } = hierarchies;
  if (max === null || section?.pids?.max !== undefined) return section;
  const given = section ?? none;
  const all = defaulted.get(hierarchies) ?? new WeakMap<Cgroups, Cgroups>();
  const made = all.get(given) ?? { ...given, pids: { ...given.pids, max } };
  defaulted.set(hierarchies, all.set(given, made));
  return made;
}

/** The controllers that a section needs; cpuacct for the statistics that come with any. */
export function controllersOf(section: Cgroups | null): Set<ControllerName> {
  const needed = new Set<ControllerName>();
  if (section === null) return needed;
  const { cpu: asked, memory: memoryAsked, blkio: blkioAsked } = section;
  if (asked !== undefined) needed.add('cpu');
  if (asked?.cpus !== undefined || asked?.mems !== undefined) needed.add('cpuset');
  if (memoryAsked !== undefined) needed.add('memory');
  if (blkioAsked !== undefined) needed.add('blkio');
  if (section.pids !== undefined) needed.add('pids');
  // A limit of processes alone, which every container has, is not worth a further group of v1.
  if (needed.size > (needed.has('pids') ? 1 : 0)) needed.add('cpuacct');
  return needed;
}

/** What distinguishes a group with limits from a new one: `file value` for each file that is not as the kernel made it. */
export function summaryOf(
  shown: readonly { readonly file: string; readonly shown: string | null; readonly initial: string | null }[],
): string {
  const differing = shown.filter((limit) => limit.shown !== null && limit.shown !== limit.initial);
  return differing
    .map((limit) => `${limit.file} ${(limit.shown ?? '').replaceAll('\n', ', ')}`)
    .sort()
    .join('\n');
}

function cpu(section: Cgroups | null, hierarchies: Hierarchies): Translation {
  const asked = section?.cpu;
  const shares = asked?.shares;
  const period = String(asked?.period ?? 100_000);
  const quota = asked?.quota === undefined || asked.quota < 0 ? null : String(asked.quota);
  const attributes = attributesOf('cpu', asked?.attrs, hierarchies);
  if (versionOf(hierarchies, 'cpu') === 1) {
    return {
      limits: [
        plain('cpu', 'cpu.shares', String(clamp(shares ?? 1024, 2, 262_144)), '1024'),
        plain('cpu', 'cpu.cfs_period_us', period, '100000'),
        plain('cpu', 'cpu.cfs_quota_us', quota ?? '-1', '-1'),
        plain('cpu', 'cpu.rt_period_us', String(asked?.realtime_period ?? 1_000_000), '1000000'),
        plain('cpu', 'cpu.rt_runtime_us', String(asked?.realtime_runtime ?? 0), '0'),
        ...attributes,
      ],
    };
  }
  const weight = shares === undefined ? 100 : 1 + Math.floor(((clamp(shares, 2, 262_144) - 2) * 9999) / 262_142);
  const realtime = asked?.realtime_runtime !== undefined || asked?.realtime_period !== undefined;
  return {
    limits: [
      plain('cpu', 'cpu.weight', String(weight), '100'),
      plain('cpu', 'cpu.max', `${quota ?? 'max'} ${period}`, 'max 100000'),
      ...attributes,
    ],
    leftOut: realtime ? ['cpu.realtime_runtime and realtime_period: cgroup v2 has no real-time budget'] : [],
  };
}

function cpuset(section: Cgroups | null, hierarchies: Hierarchies): Translation {
  // On v1 no set may be smaller than one below it: there the leaf gets it (setOwn in cgroup-leaf.ts).
  if (versionOf(hierarchies, 'cpuset') === 1) return { limits: [] };
  const set = (file: string, asked: string | undefined): Limit => ({
    ...plain('cpuset', file, asked ?? '', ''),
    shown: asked === undefined ? '' : kernelList(asked),
  });
  return { limits: [set('cpuset.cpus', section?.cpu?.cpus), set('cpuset.mems', section?.cpu?.mems)] };
}

function memory(section: Cgroups | null, hierarchies: Hierarchies): Translation {
  const asked = section?.memory;
  const { memory_hard_limit: hard, memory_soft_limit: soft, memory_swap_limit: swap } = asked ?? {};
  const attributes = attributesOf('memory', asked?.attrs, hierarchies);
  const { pageSize } = hierarchies;
  if (versionOf(hierarchies, 'memory') === 1) {
    const bytes = (file: string, value: number | undefined) => legacyBytes(file, value, pageSize);
    // Kernels since 5.16 take a limit of their own memory and do not keep it.
    const kernel = asked?.kernel_memory_limit;
    return {
      limits: [
        bytes('memory.limit_in_bytes', hard),
        bytes('memory.soft_limit_in_bytes', soft),
        bytes('memory.memsw.limit_in_bytes', swap),
        plain(
          'memory',
          'memory.swappiness',
          String(asked?.swappiness ?? hierarchies.swappiness),
          hierarchies.swappiness,
        ),
        bytes('memory.kmem.tcp.limit_in_bytes', asked?.kernel_tcp_memory_limit),
        ...(kernel === undefined ? [] : [written('memory', 'memory.kmem.limit_in_bytes', kernel)]),
        ...attributes,
      ],
    };
  }
  const leftOut = (['swappiness', 'kernel_memory_limit', 'kernel_tcp_memory_limit'] as const)
    .filter((field) => asked?.[field] !== undefined)
    .map((field) => `memory.${field}: cgroup v2 has no counterpart`);
  return {
    limits: [
      unifiedBytes('memory.max', hard, 'max', pageSize),
      unifiedBytes('memory.low', soft, '0', pageSize),
      unifiedBytes('memory.swap.max', swapAlone(hard, swap), 'max', pageSize),
      ...attributes,
    ],
    leftOut,
  };
}

/** v1 limits the sum of memory and swap, v2 swap by itself. */
function swapAlone(hard: number | undefined, swap: number | undefined): number | undefined {
  if (swap === undefined || swap < 0) return undefined;
  if (hard !== undefined && hard >= 0 && swap >= hard) return swap - hard;
  throw new TerminalError('BadLimit', 'cgroups: memory_swap_limit needs a memory_hard_limit that is not above it');
}

function pids(section: Cgroups | null, hierarchies: Hierarchies): Translation {
  const asked = section?.pids;
  const max = asked?.max;
  const limit = plain('pids', 'pids.max', max === undefined || max < 0 ? 'max' : String(max), 'max');
  return { limits: [limit, ...attributesOf('pids', asked?.attrs, hierarchies)] };
}

function legacyBytes(file: string, value: number | undefined, pageSize: number): Limit {
  // PAGE_COUNTER_MAX: the largest number of whole pages that a signed 64-bit number of bytes holds.
  const unlimited = String(((2n ** 63n - 1n) / BigInt(pageSize)) * BigInt(pageSize));
  const limited = value !== undefined && value >= 0;
  const shown = limited ? String(wholePages(value, pageSize)) : unlimited;
  return { controller: 'memory', file, value: limited ? String(value) : '-1', shown, initial: unlimited };
}

function unifiedBytes(file: string, value: number | undefined, initial: string, pageSize: number): Limit {
  if (value === undefined || value < 0) return plain('memory', file, initial, initial);
  return { controller: 'memory', file, value: String(value), shown: String(wholePages(value, pageSize)), initial };
}

function wholePages(bytes: number, pageSize: number): number {
  return Math.floor(bytes / pageSize) * pageSize;
}
