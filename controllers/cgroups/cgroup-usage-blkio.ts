// What a container has read and written, in the shape of the console's `statistics`.
import { uncostWeight } from './cgroup-limits-blkio.ts';
import { deviceNumbers, deviceServices, deviceValues, type ReadFile } from './cgroup-text.ts';

type BlkioUsage = Readonly<Record<string, unknown>>;

const blkioLists = ['io_merged', 'io_queued', 'io_service_bytes', 'io_service_time', 'io_serviced', 'io_wait_time'];
const throttleRates = ['read_bps_device', 'read_iops_device', 'write_bps_device', 'write_iops_device'];

/** Linux since 5.0 counts in the throttle files only; the schedulers that filled the others are gone. */
export function legacyBlkio(read: ReadFile): BlkioUsage {
  const throttle = ['io_service_bytes', 'io_serviced'].flatMap((file) =>
    services(
      file,
      deviceServices(read(`blkio.throttle.${file}`)),
      deviceServices(read(`blkio.throttle.${file}_recursive`)),
    ),
  );
  const rates = throttleRates.map((file) => [file, deviceNumbers(read(`blkio.throttle.${file}`))]);
  const [weight, devices] = weightsOf(read('blkio.bfq.weight_device'), (value) => value);
  return shaped({
    throttle: Object.fromEntries([...throttle, ...rates]) as BlkioUsage,
    weight,
    weight_device: devices,
  });
}

/** io.stat and io.max, as they are and in the shape of v1's throttle files. */
export function unifiedBlkio(read: ReadFile): BlkioUsage {
  const stat = deviceValues(read('io.stat'));
  const serviced = (kinds: Readonly<Record<string, string>>) =>
    stat.map(({ major, minor, values }) => {
      const counts = Object.fromEntries(Object.entries(kinds).map(([kind, key]) => [kind, values[key] ?? 0]));
      const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
      return { major, minor, ...counts, sync: 0, async: 0, total };
    });
  const bytes = serviced({ read: 'rbytes', write: 'wbytes', discard: 'dbytes' });
  const requests = serviced({ read: 'rios', write: 'wios', discard: 'dios' });
  const max = deviceValues(read('io.max'));
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
    throttle: Object.fromEntries(throttle) as BlkioUsage,
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
function shaped(found: BlkioUsage): BlkioUsage {
  const empty = blkioLists.flatMap((list) => [
    [list, []],
    [`${list}_recursive`, []],
    [`${list}_total`, 0],
    [`${list}_recursive_total`, 0],
  ]);
  return {
    ...(Object.fromEntries(empty) as BlkioUsage),
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

/** Lines `default 100` and `8:0 200`: the weight, and those of devices. */
function weightsOf(text: string, convert: (weight: number) => number): [number, Record<string, number>[]] {
  const all = /^default (\d+)$/m.exec(text)?.[1];
  const devices = deviceNumbers(text).map((device) => ({ ...device, data: convert(device['data'] ?? 0) }));
  return [all === undefined ? 0 : convert(Number(all)), devices];
}

function totalOf(services: readonly Record<string, number>[]): number {
  return services.reduce((sum, service) => sum + (service['total'] ?? 0), 0);
}
