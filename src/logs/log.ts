// The log: one JSON object a line on stderr, or lines for people when stderr is a terminal. Messages are constant,
// what differs is in fields.
import pino from 'pino';
import { createUnblockedWriter } from '../../native/unblocked.ts';
import { createJournalWriter, isJournal } from './journal-log.ts';
import type { LogLevel, LogTarget } from './log-level.ts';

export type Log = pino.Logger;

/** Fields that may hold something confidential: the variables of a start, tokens and keys. */
const confidential = ['env', 'environment', 'token', 'shared', 'key'];
const redact = confidential.flatMap((field) => [field, `*.${field}`]);

export interface LogOptions {
  readonly level: LogLevel;
  /** `auto`: the journal where stderr leads there, else stderr, which it is when this is left out. */
  readonly target?: LogTarget;
  /** Lines for people instead of JSON; where it is left out, when stderr is a terminal. */
  readonly human?: boolean;
}

/** Whether the log goes into systemd's journal, with its fields. */
export function logsToJournal(target: LogTarget): boolean {
  return target === 'journal' || (target === 'auto' && isJournal(process.env['JOURNAL_STREAM']));
}

/** Opens the log on stderr (fd 2) or in the journal. Lines are written at once, so that the last ones before a crash are there. */
export function openLog({ level, target = 'stderr', human = process.stderr.isTTY }: LogOptions): Log {
  const options = { level, redact, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (logsToJournal(target)) return pino(options, { write: journal() });
  const write = writer();
  return pino(options, { write: human ? (line) => write(forPeople(line)) : write });
}

/** Writes lines to the journal; what it has no room for is dropped, and counted in the next entry. */
function journal(): (line: string) => void {
  const write = createJournalWriter();
  let dropped = 0;
  return (line) => {
    if (dropped > 0 && write(JSON.stringify({ level: 40, msg: 'log lines dropped', dropped }))) dropped = 0;
    if (!write(line)) dropped += 1;
  };
}

/**
 * Writes lines to stderr, whose reader may be slow or gone: what there is no room for is dropped, and counted in the next line
 * that there is room for. The runtime goes on.
 */
function writer(): (line: string) => void {
  const write = createUnblockedWriter(2);
  /** The end of a line that went in part. */
  let rest: Uint8Array = new Uint8Array();
  let dropped = 0;
  return (line) => {
    try {
      if (rest.length > 0) rest = rest.subarray(write(rest));
      const bytes = Buffer.from(
        dropped === 0 ? line : `${JSON.stringify({ level: 40, msg: 'log lines dropped', dropped })}\n${line}`,
      );
      const sent = rest.length > 0 ? 0 : write(bytes);
      if (sent > 0) rest = bytes.subarray(sent);
      dropped = sent > 0 ? 0 : dropped + 1;
    } catch {
      // Nobody reads any more, and there is no other place to say so.
      dropped += 1;
    }
  };
}

const names = new Map(Object.entries(pino.levels.labels).map(([value, label]) => [Number(value), label]));

/** A container's line must not move the cursor of whoever reads it. */
function harmless(text: string): string {
  return /[\0-\x1f\x7f-\x9f]/.test(text) ? JSON.stringify(text).replace(/[\x7f-\x9f]/g, '?') : text;
}

/** `12:34:56.789 info  message field=value` */
function forPeople(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const pairs = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? harmless(value) : JSON.stringify(value)}`,
  );
  const reason = (err as { message?: string } | undefined)?.message;
  const parts = [String(time).slice(11, 23), (names.get(Number(level)) ?? '').padEnd(5), String(msg), ...pairs];
  if (reason !== undefined) parts.push(`error=${JSON.stringify(reason)}`);
  return `${parts.join(' ')}\n`;
}
