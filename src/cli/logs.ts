// northstate logs: a container's output.
import { parseDuration } from '../../state/schema/units.ts';
import { withConsole, type ConsoleOptions } from './console.ts';
import { exitCodes, Failure } from './exit.ts';
import { printable } from './output.ts';

export interface LogsOptions extends ConsoleOptions {
  readonly follow?: boolean;
  readonly since?: string;
  readonly timestamps?: boolean;
  /** Fail unless this is the boot. */
  readonly boot?: string;
}

/** Prints the output that is kept, each line to the stream that it was written to; with `follow` also what comes. */
export async function logs(name: string, { follow, since, timestamps, boot, ...options }: LogsOptions): Promise<void> {
  const from = since === undefined ? null : pointInTime(since);
  await withConsole(options, async (client) => {
    const wanted = { since: from, follow: follow ?? false, ...(boot !== undefined && { boot }) };
    for await (const { time, stream, line } of client.logs(name, wanted)) {
      if (options.json === true) continue;
      const target = stream === 'stderr' ? process.stderr : process.stdout;
      const shown = target.isTTY ? printable(line) : line;
      target.write(timestamps === true ? `${new Date(time).toISOString()} ${shown}\n` : `${shown}\n`);
    }
  });
}

/** `10m` before now, or a time that Date understands (RFC 3339), in ms since the epoch. */
function pointInTime(text: string): number {
  const duration = parseDuration(text);
  const time = duration === null ? Date.parse(text) : Date.now() - duration;
  if (!Number.isFinite(time)) {
    throw new Failure(`"${text}" is no time`, { code: exitCodes.usage, hint: 'write 10m, 2h or 2026-01-31T12:00:00Z' });
  }
  return Math.max(0, time);
}
