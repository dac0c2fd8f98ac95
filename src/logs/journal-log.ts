// Our log as entries of systemd's journal, with its fields (systemd.journal-fields(7)): `journalctl CONTAINER=broker`.
import { createHash } from 'node:crypto';
import { fstatSync } from 'node:fs';
import { openDatagramSender } from '../../native/unix-socket.ts';

const socket = '/run/systemd/journal/socket';

/** Whether our stderr is a stream of the journal (systemd.exec(5), JOURNAL_STREAM). */
export function isJournal(stream: string | undefined, stats: { dev: number; ino: number } = fstatSync(2)): boolean {
  return stream === `${stats.dev}:${stats.ino}`;
}

/** Gives a function that sends a line of the log (JSON) as an entry and says whether it went. `path` is the journal's socket. */
export function createJournalWriter(path = socket): (line: string) => boolean {
  const send = openDatagramSender();
  return (line) => {
    const entry = entryOf(JSON.parse(line) as LogEntry);
    try {
      return send(path, renderEntry(entry));
    } catch {
      // No journal, or a full one: there is no other place to say so, and the next line finds out anew.
      return false;
    }
  };
}

export type LogEntry = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };

/** Levels of pino as priorities of syslog(3). */
const priorities = new Map([
  [10, 7],
  [20, 7],
  [30, 6],
  [40, 4],
  [50, 3],
  [60, 2],
]);

/** The fields of an entry. A container's line is its message; our own messages are constant and so is their MESSAGE_ID. */
export function entryOf({ level, msg, time: _time, ...fields }: LogEntry): ReadonlyMap<string, string> {
  const { container, target, stream, line, err, ...others } = fields;
  const entry = new Map([
    ['SYSLOG_IDENTIFIER', 'northstate'],
    ['PRIORITY', String(priorities.get(level) ?? 6)],
  ]);
  if (typeof container === 'string') entry.set('CONTAINER', container);
  if (typeof target === 'string') entry.set('VERSION', target.slice(target.indexOf(':') + 1));
  if (stream !== undefined) entry.set('STREAM', text(stream));
  if (typeof line === 'string') return entry.set('MESSAGE', line);
  const reason = (err as { message?: string } | undefined)?.message;
  const told = [
    ...Object.entries({ ...(container !== undefined && { container }), ...others }),
    ...(reason === undefined ? [] : [['error', reason] as const]),
  ];
  for (const [name, value] of told)
    entry.set(`NORTHSTATE_${name.replaceAll(/[^a-zA-Z0-9]/g, '_').toUpperCase()}`, text(value));
  entry.set('MESSAGE', [msg, ...told.map(([name, value]) => `${name}=${text(value)}`)].join(' '));
  return entry.set('MESSAGE_ID', createHash('sha256').update(`northstate/${msg}`).digest('hex').slice(0, 32));
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What the journal's socket takes: a value with a line break comes with its length (Native Journal Protocol). */
export function renderEntry(entry: ReadonlyMap<string, string>): Buffer {
  return Buffer.concat(
    [...entry].map(([name, value]) => {
      if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
      const bytes = Buffer.from(value);
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(bytes.length));
      return Buffer.concat([Buffer.from(`${name}\n`), size, bytes, Buffer.from('\n')]);
    }),
  );
}
