// northstate events and report: what has happened, and an archive of all that explains the present state.
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { styleText } from 'node:util';
import type { StampedEvent } from '../client/northstate.ts';
import { say, withConsole, type ConsoleOptions } from './console.ts';
import { Failure } from './exit.ts';
import { exitText } from '../../state/signals.ts';
import { pointInTime } from './words.ts';
import { printable, type Format } from './output.ts';

export interface EventsCommand extends ConsoleOptions {
  readonly follow?: boolean;
  /** The number of the last event that was seen, or a time as `logs --since` takes it. */
  readonly since?: string;
  readonly boot?: string;
  readonly output: Format;
}

/** Prints the events that are kept, oldest first, one a line; with `follow` what comes, too. A gap is told on stderr. */
export async function events({ follow, since, boot, output, ...options }: EventsCommand): Promise<void> {
  const number = since !== undefined && /^\d+$/.test(since) ? Number(since) : null;
  const time = since === undefined || number !== null ? null : pointInTime(since);
  const from = { ...(number !== null && { since: number }), ...(boot !== undefined && { boot }) };
  await withConsole(options, async (client) => {
    for await (const event of client.events({ ...from, follow: follow ?? false })) {
      if ('gap' in event) {
        const { since: asked, oldest } = event.gap;
        process.stderr.write(`northstate: events after ${asked} are not kept any more; the oldest is ${oldest}\n`);
      } else if (time === null || Date.parse(event.time) >= time)
        say(options, output === 'table' ? line(event) : JSON.stringify(event));
    }
  });
}

function line({ sequence, time, monotonic, event }: StampedEvent): string {
  const stamp = styleText('dim', `${time} +${(monotonic / 1000).toFixed(3)}s`);
  return `${stamp} ${sequence} ${printable(inWords(event))}`;
}

const ours: Readonly<Record<string, string>> = { install: 'installed', uninstall: 'uninstalled' };

/** An event as people read it; the message itself is what -o json has. */
function inWords(event: StampedEvent['event']): string {
  if (typeof event === 'string') return event;
  const [type = '', content] = Object.entries(event)[0] ?? [];
  if (typeof content === 'string') return `${ours[type] ?? type} ${content}`;
  if ('trial' in event) {
    const { state, generation, confirmed, reason } = event.trial;
    return `generation ${generation} is ${state}, of ${confirmed} before${reason === null ? '' : ` (${reason})`}`;
  }
  if ('boot_plan' in event) {
    const { started, left, refused } = event.boot_plan;
    return `boot plan: ${refused ?? `${started} started, ${left.length} left`}`;
  }
  if ('data' in event) return `persistent data of ${event.data[0]} is ${event.data[1]}`;
  const [container, detail] = content as unknown as [
    string,
    Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ];
  const { exit, signalled, memory } = detail;
  if (type === 'session') {
    const { by, does, privileged } = detail as unknown as { by: string; does: string; privileged: boolean };
    return `session in ${container} by ${by}: ${does}${privileged ? ', privileged' : ''}`;
  }
  if (type === 'locked' || type === 'unlocked')
    return `${container} is ${type} by ${(detail as unknown as { by: string }).by}`;
  if (type === 'run_once') return `${container} is run once by ${(detail as unknown as { by: string }).by}`;
  const what = ends[type] ?? 'ended';
  if (exit !== undefined) return `${what} ${container} ${exitText({ code: Number(exit['code']) })}`;
  if (signalled !== undefined) return `${what} ${container} ${exitText({ signal: Number(signalled['signal']) })}`;
  if (memory !== undefined) return `out of memory ${container} ${counts(memory)}`;
  return `${type} ${container} ${typeof detail === 'string' ? String(detail) : JSON.stringify(detail)}`;
}

const ends: Readonly<Record<string, string>> = { session_end: 'session over in', run_once_end: 'run once ended' };

function counts(memory: Readonly<Record<string, unknown>>): string {
  const known = Object.entries(memory).filter(([, count]) => count !== null);
  return known.map(([name, count]) => `${name} ${String(count)}`).join(', ');
}

/** Writes the archive to a file, which is made; prints its name. */
export async function report(file: string | undefined, options: ConsoleOptions): Promise<void> {
  const path = file ?? `northstate-report-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}Z.zip`;
  await withConsole(options, async (client) => {
    const target = createWriteStream(path, { flags: 'wx', mode: 0o600 });
    await pipeline(client.report(), target).catch((error: unknown) => {
      const { code, syscall } = error as NodeJS.ErrnoException;
      if (syscall === undefined) throw error;
      throw new Failure(`${syscall} ${path}: ${code ?? ''}`, { hint: 'name a file that does not exist yet' });
    });
    say(options, path);
  });
}
