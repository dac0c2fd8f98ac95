// What a container has read and written, in the shape of the console's `statistics`.
import { uncostWeight } from './cgroup-limits-blkio.ts';
import type { Read, Usage } from './cgroup-usage.ts';

const blkioLists = ['io_merged', 'io_queued', 'io_service_bytes', 'io_service_time', 'io_serviced', 'io_wait_time'];
const throttleRates = ['read_bps_device', 'read_iops_device', 'write_bps_device', 'write_iops_device'];

/** Linux since 5.0 counts in the throttle files only; the schedulers that filled the others are gone. */
export function legacyBlkio(read: Read): Usage {
  const throttle = ['io_service_bytes', 'io_serviced'].flatMap((file) =>
    services(file, ioServices(read(`blkio.throttle.${file}`)), ioServices(read(`blkio.throttle.${file}_recursive`))),
  );
  const rates = throttleRates.map((file) => [file, deviceRates(read(`blkio.throttle.${file}`))]);
  const [weight, devices] = weightsOf(read('blkio.bfq.weight_device'), (value) => value);
  return shaped({ throttle: Object.fromEntries([...throttle, ...rates]) as Usage, weight, weight_device: devices });
}

/** io.stat and io.max, as they are and in the shape of v1's throttle files. */
export function unifiedBlkio(read: Read): Usage {
  const stat = keyed(read('io.stat'));
  const serviced = (kinds: Readonly<Record<string, string>>) =>
    stat.map(({ major, minor, values }) => {
      const counts = Object.fromEntries(Object.entries(kinds).map(([kind, key]) => [kind, values[key] ?? 0]));
      const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
      return { major, minor, ...counts, sync: 0, async: 0, total };
    });
  const bytes = serviced({ read: 'rbytes', write: 'wbytes', discard: 'dbytes' });
  const requests = serviced({ read: 'rios', write: 'wios', discard: 'dios' });
  const max = keyed(read('io.max'));
  const rates = Object.entries(unifiedRates).map(([file, key]) => [
    file,
    max.flatMap(({ major, minor, values }) => (key in values ? [{ major, minor, data: values[key] }] : [])),
  ]);
  const throttle = [
    ...services('io_service_bytes', bytes, bytes),
    ...services('io_serviced', requests, requests),
    ...rates,
  ];
  const cost = read('io.weight');
  const [weight, devices] =
    cost === '' ? weightsOf(read('io.bfq.weight'), (value) => value) : weightsOf(cost, uncostWeight);
  return shaped({
    io_stat: stat.map(({ major, minor, values }) => ({ major, minor, ...values })),
    throttle: Object.fromEntries(throttle) as Usage,
    weight,
    weight_device: devices,
  });
}

/** `throttle_*_device` of v1 and the keys of io.max. */
const unifiedRates = {
  read_bps_device: 'rbps',
  read_iops_device: 'riops',
  write_bps_device: 'wbps',
  write_iops_device: 'wiops',
} as const;

/** What nobody fills any more, and what was found. */
function shaped(found: Usage): Usage {
  const empty = blkioLists.flatMap((list) => [
    [list, []],
    [`${list}_recursive`, []],
    [`${list}_total`, 0],
    [`${list}_recursive_total`, 0],
  ]);
  return {
    ...(Object.fromEntries(empty) as Usage),
    ...{ io_stat: [], leaf_weight: 0, leaf_weight_device: [], sectors: [], sectors_recursive: [] },
    ...{ time: [], time_recursive: [] },
    ...found,
  };
}

type Services = readonly Record<string, number>[];

function services(file: string, own: Services, below: Services): (readonly [string, Services | number])[] {
  return [
    [file, own],
    [`${file}_total`, totalOf(own)],
    [`${file}_recursive`, below],
    [`${file}_recursive_total`, totalOf(below)],
  ];
}

/** Lines `8:0 rbytes=4096 wbytes=0`; a value of `max` is no number and is left out. */
function keyed(text: string): { major: number; minor: number; values: Record<string, number> }[] {
  return [...text.matchAll(/^(\d+):(\d+) (.*)$/gm)].map(([, major, minor, rest = '']) => ({
    major: Number(major),
    minor: Number(minor),
    values: Object.fromEntries([...rest.matchAll(/(\w+)=(\d+)/g)].map(([, key = '', value]) => [key, Number(value)])),
  }));
}

/** Lines `default 100` and `8:0 200`: the weight, and those of devices. */
function weightsOf(text: string, convert: (weight: number) => number): [number, Record<string, number>[]] {
  const all = /^default (\d+)$/m.exec(text)?.[1];
  const devices = deviceRates(text).map((device) => ({ ...device, data: convert(device['data'] ?? 0) }));
  return [all === undefined ? 0 : convert(Number(all)), devices];
}

/** Lines `8:0 Read 4096`, by device. */
function ioServices(text: string): Record<string, number>[] {
  const found = [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)];
  const devices = Map.groupBy(found, ([, major, minor]) => `${major}:${minor}`);
  return [...devices.values()].map((lines) => ({
    major: Number(lines[0]?.[1]),
    minor: Number(lines[0]?.[2]),
    ...Object.fromEntries(lines.map(([, , , kind = '', value]) => [kind.toLowerCase(), Number(value)])),
  }));
}

function totalOf(services: readonly Record<string, number>[]): number {
  return services.reduce((sum, service) => sum + (service['total'] ?? 0), 0);
}

function deviceRates(text: string): Record<string, number>[] {
  const found = [...text.matchAll(/^(\d+):(\d+) (\d+)$/gm)];
  return found.map(([, major, minor, data]) => ({ major: Number(major), minor: Number(minor), data: Number(data) }));
}
