// northstate logs: containers' output.
import { ConsoleError, type LogLine, type Northstate } from '../client/northstate.ts';
import { containerOf, withConsole, type ConsoleOptions } from './console.ts';
import { printable } from './output.ts';
import { pointInTime } from './words.ts';

export interface LogsOptions extends ConsoleOptions {
  readonly follow?: boolean;
  readonly since?: string;
  readonly timestamps?: boolean;
  /** So many of the lines that are kept, the last ones. */
  readonly lines?: number;
  /** Of the run before the last one. */
  readonly previous?: boolean;
  /** Fail unless this is the boot. */
  readonly boot?: string;
}

type Show = (line: LogLine) => void;

/**
 * Prints the output that is kept, each line to the stream that it was written to; with `follow` also what comes. Of several
 * containers one after the other, or with `follow` as it comes, each line with its container's name.
 */
export async function logs(names: readonly string[], options: LogsOptions): Promise<void> {
  await withConsole(options, async (client) => {
    const all = names.map((name) => printed(client, name, options, names.length > 1 ? `${printable(name)}: ` : ''));
    if (options.follow === true) await Promise.all(all.map((print) => print()));
    else for (const print of all) await print();
  });
}

/** Prints one container's output when it is called; says it when there is none since its manifest has it discarded. */
function printed(client: Northstate, name: string, options: LogsOptions, lead: string): () => Promise<void> {
  const { follow = false, since, lines, previous, boot } = options;
  const from = since === undefined ? null : pointInTime(since);
  const wanted = { since: from, ...(boot !== undefined && { boot }), ...(previous === true && { previous }) };
  let count = 0;
  const show: Show = ({ time, stream, line }) => {
    count += 1;
    if (options.json === true) return;
    const target = stream === 'stderr' ? process.stderr : process.stdout;
    const stamp = options.timestamps === true ? `${new Date(time).toISOString()} ` : '';
    target.write(`${lead}${stamp}${target.isTTY ? printable(line) : line}\n`);
  };
  return async () => {
    if (follow) await tellDiscarded(client, name);
    if (lines === undefined) for await (const line of client.logs(name, { ...wanted, follow })) show(line);
    else await last(client, name, lines, { ...wanted, follow }, show);
    if (count > 0 || follow) return;
    if (previous === true) process.stderr.write(`northstate: no earlier run of ${printable(name)} is kept\n`);
    else await tellDiscarded(client, name);
  };
}

/** The last of the lines that are kept, then what comes after them. */
async function last(
  client: Northstate,
  name: string,
  most: number,
  options: { readonly since: number | null; readonly follow: boolean },
  show: Show,
): Promise<void> {
  const kept: LogLine[] = [];
  for await (const line of client.logs(name, { ...options, follow: false })) kept.push(line);
  for (const line of most === 0 ? [] : kept.slice(-most)) show(line);
  if (!options.follow) return;
  const newest = kept.at(-1)?.time ?? 0;
  let same = kept.filter(({ time }) => time === newest).length;
  const since = kept.length === 0 ? options.since : Math.floor(newest);
  for await (const line of client.logs(name, { ...options, since })) {
    if (line.time < newest || (line.time === newest && same-- > 0)) continue;
    show(line);
  }
}

/** A manifest without `io` discards, which looks like a container that says nothing. */
async function tellDiscarded(client: Northstate, name: string): Promise<void> {
  const io = await ioOf(client, name);
  if (io === undefined) return;
  const streams = (['stdout', 'stderr'] as const).filter((stream) => (io?.[stream] ?? 'discard') === 'discard');
  if (streams.length < 2) return;
  const hint = 'io: { stdout: pipe, stderr: pipe } in the manifest keeps it';
  process.stderr.write(`northstate: ${printable(name)} discards its output (${hint})\n`);
}

/** The manifest's `io`, null when it has none; undefined when this client may not know, or nothing is installed. */
async function ioOf(client: Northstate, name: string): Promise<Readonly<Record<string, unknown>> | null | undefined> {
  try {
    const { data } = await client.call('inspect', { container: await containerOf(client, name) });
    const { io } = data['manifest'] as { readonly io?: Readonly<Record<string, unknown>> };
    return io ?? null;
  } catch (error) {
    if (error instanceof ConsoleError && ['permission_denied', 'invalid_container'].includes(error.reason))
      return undefined;
    throw error;
  }
}
