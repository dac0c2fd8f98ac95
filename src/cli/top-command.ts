// northstate top: what containers take of processor, memory and block devices, measured between two looks.
import { setTimeout as delay } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { Northstate } from '../client/northstate.ts';
import type { Status } from '../../state/status.ts';
import { withConsole, type ConsoleOptions } from './console.ts';
import { printable } from './output.ts';

export interface TopOptions extends ConsoleOptions {
  /** ms */
  readonly interval: number;
}

type Counts = Awaited<ReturnType<typeof look>>['counts'][string];

/** One container between two looks; what is not accounted for is null. */
export interface Taken {
  readonly phase: string;
  readonly restarts: number;
  /** Processors that it has kept busy: 1 is all of one. */
  readonly cpu: number | null;
  readonly memoryBytes: number | null;
  readonly memoryLimit: number | null;
  /** Bytes a second. */
  readonly readRate: number | null;
  readonly writeRate: number | null;
  readonly oomKills: number | null;
}

const shortest = 100;

/** Goes on on a terminal until it is interrupted. */
export async function top({ interval, ...options }: TopOptions): Promise<void> {
  const pause = Math.max(shortest, interval);
  await withConsole(options, async (client) => {
    let before = await look(client);
    for (;;) {
      await delay(pause);
      const now = await look(client);
      const taken = takenBetween(before, now);
      before = now;
      if (!process.stdout.isTTY) {
        if (options.json !== true) process.stdout.write(`${JSON.stringify(taken)}\n`);
        return;
      }
      // Home, the table, and nothing of what stood below: a screen that is not cleared does not flicker.
      process.stdout.write(`\x1b[H${tableOf(taken).join('\x1b[K\n')}\x1b[K\n\x1b[J`);
    }
  });
}

async function look(client: Northstate) {
  const [{ status }, { counts }] = await Promise.all([client.call('get', null), client.call('metrics', null)]);
  return { at: performance.now(), status, counts };
}

interface Look {
  readonly at: number;
  readonly status: Pick<Status, 'containers'>;
  readonly counts: Readonly<Record<string, Counts>>;
}

/** What each container has taken between two looks. */
export function takenBetween(before: Look, now: Look): Readonly<Record<string, Taken>> {
  const seconds = Math.max(0.001, (now.at - before.at) / 1000);
  const entries = Object.entries(now.status.containers).map(([name, { phase, restarts }]): [string, Taken] => {
    const [was, is] = [before.counts[name], now.counts[name]];
    const rate = (of: (counts: Counts) => number | null): number | null => {
      const [from, to] = [was === undefined ? null : of(was), is === undefined ? null : of(is)];
      // A group that was made anew counts from nothing.
      return from === null || to === null ? null : Math.max(0, to - from) / seconds;
    };
    const taken = {
      ...{ phase, restarts, cpu: rate(({ cpuSeconds }) => cpuSeconds) },
      ...{ memoryBytes: is?.memoryBytes ?? null, memoryLimit: is?.memoryLimit ?? null },
      ...{ readRate: rate(({ readBytes }) => readBytes), writeRate: rate(({ writtenBytes }) => writtenBytes) },
      oomKills: is?.oomKills ?? null,
    };
    return [name, taken];
  });
  return Object.fromEntries(entries);
}

const columns = ['NAME', 'PHASE', 'CPU', 'MEMORY', 'LIMIT', 'READ/s', 'WRITE/s', 'OOM', 'RESTARTS'] as const;

/** The hungriest first. */
export function tableOf(taken: Readonly<Record<string, Taken>>): string[] {
  const sorted = Object.entries(taken).toSorted(([, a], [, b]) => (b.cpu ?? -1) - (a.cpu ?? -1));
  const rows = sorted.map(([name, each]) => [
    ...[printable(name), each.phase, each.cpu === null ? '-' : `${(each.cpu * 100).toFixed(1)}%`],
    ...[each.memoryBytes, each.memoryLimit, each.readRate, each.writeRate].map(bytes),
    ...[each.oomKills === null ? '-' : String(each.oomKills), String(each.restarts)],
  ]);
  const widths = columns.map((column, index) => Math.max(column.length, ...rows.map((row) => row[index]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd();
  return [styleText('dim', line(columns)), ...rows.map(line)];
}

const units = ['B', 'K', 'M', 'G', 'T'];

function bytes(value: number | null): string {
  if (value === null) return '-';
  const power = Math.min(units.length - 1, value < 1 ? 0 : Math.floor(Math.log(value) / Math.log(1024)));
  return `${(value / 1024 ** power).toFixed(power === 0 ? 0 : 1)}${units[power]}`;
}
