// Block devices in a `cgroups` section: weights and rates. Pure. v1: https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html,
// v2: "IO Interface Files" of cgroup-v2. Weights are the BFQ scheduler's (Documentation/block/bfq-iosched.rst) on v1, and
// on v2 those of io.cost where the kernel has them, else again BFQ's.
import type { Cgroups } from '../../state/schema/manifest.ts';
import { versionOf, type Hierarchies } from './cgroup-hierarchies.ts';
import { attributesOf, clamp, type Limit, type Translation } from './cgroup-limit.ts';

type Section = NonNullable<Cgroups['blkio']>;
interface Device {
  readonly major: number;
  readonly minor: number;
}

const kinds = ['read_bps', 'read_iops', 'write_bps', 'write_iops'] as const;
/** The keys of io.max, in the order in which it shows them. */
const keys = { rbps: 'read_bps', wbps: 'write_bps', riops: 'read_iops', wiops: 'write_iops' } as const;

export function blkio(section: Cgroups | null, hierarchies: Hierarchies): Translation {
  const asked = section?.blkio;
  const legacy = versionOf(hierarchies, 'blkio') === 1;
  const leaf = asked?.leaf_weight ?? asked?.weight_device.find((each) => each.leaf_weight !== undefined);
  return {
    limits: [
      weights(asked, legacy),
      ...(legacy ? kinds.map((kind) => legacyRates(kind, asked)) : [unifiedRates(asked)]),
      ...attributesOf('blkio', asked?.attrs, hierarchies),
    ],
    leftOut: leaf === undefined ? [] : ['blkio.leaf_weight: no kernel since Linux 5.0 has it'],
  };
}

const numberOf = ({ major, minor }: Device): string => `${major}:${minor}`;

/** A file with a line for each device, which may be preceded by one for all others. */
function tableOf(file: string, lines: readonly string[], initial: string, reset: string): Limit {
  const shown = [...lines].sort().join('\n');
  return { controller: 'blkio', file, value: shown, shown, initial, reset };
}

/**
 * The OCI runtimes' scale is 10..1000; BFQ's own, on both versions, is 1..1000 and takes it as it is, io.cost's is 1..10000
 * (crun(1), "CGROUP v2"). Either file has a line for all devices that have none of their own.
 */
function weights(asked: Section | undefined, legacy: boolean): Limit {
  const lines = (convert: (weight: number) => number): string[] => [
    `default ${asked?.weight === undefined ? 100 : convert(asked.weight)}`,
    ...weighted(asked).map(([device, weight]) => `${device} ${convert(weight)}`),
  ];
  if (legacy) return tableOf('blkio.bfq.weight_device', lines(bfqWeight), 'default 100', 'default');
  const limit = tableOf('io.weight', lines(costWeight), 'default 100', 'default');
  const asShown = (text: string): string =>
    text.replaceAll(/^(\S+) (\d+)$/gm, (line, key: string, weight: string) =>
      line === 'default 100' ? line : `${key} ${costWeight(Number(weight))}`,
    );
  return { ...limit, instead: { file: 'io.bfq.weight', value: lines(bfqWeight).sort().join('\n'), asShown } };
}

function weighted(asked: Section | undefined): (readonly [string, number])[] {
  return (asked?.weight_device ?? []).flatMap((each) =>
    each.weight === undefined ? [] : [[numberOf(each), each.weight] as const],
  );
}

function costWeight(weight: number): number {
  return 1 + Math.floor(((clamp(weight, 10, 1000) - 10) * 9999) / 990);
}

/** The other way round: which weight of 10..1000 gives this one of io.cost's. */
export function uncostWeight(weight: number): number {
  return 10 + Math.ceil(((clamp(weight, 1, 10_000) - 1) * 990) / 9999);
}

function bfqWeight(weight: number): number {
  return clamp(weight, 1, 1000);
}

function legacyRates(kind: (typeof kinds)[number], asked: Section | undefined): Limit {
  const lines = (asked?.[`throttle_${kind}_device`] ?? []).map((each) => `${numberOf(each)} ${each.rate}`);
  return tableOf(`blkio.throttle.${kind}_device`, lines, '', '0');
}

/** One line has all four rates of a device. */
function unifiedRates(asked: Section | undefined): Limit {
  const rates = kinds.flatMap((kind) => asked?.[`throttle_${kind}_device`] ?? []);
  const lines = [...new Set(rates.map(numberOf))].map((device) => {
    const values = Object.entries(keys).map(([key, kind]) => {
      const found = asked?.[`throttle_${kind}_device`].find((each) => numberOf(each) === device);
      return `${key}=${found?.rate ?? 'max'}`;
    });
    return `${device} ${values.join(' ')}`;
  });
  return tableOf('io.max', lines, '', 'rbps=max wbps=max riops=max wiops=max');
}
