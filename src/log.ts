// The log: one JSON object a line on stderr, or lines for people when stderr is a terminal. Messages are constant,
// what differs is in fields.
import pino from 'pino';
import type { LogLevel } from './config.ts';

export type Log = pino.Logger;

/** Fields that may hold something confidential: the variables of a start, tokens and keys. */
const confidential = ['env', 'environment', 'token', 'shared', 'key'];
const redact = confidential.flatMap((field) => [field, `*.${field}`]);

export interface LogOptions {
  readonly level: LogLevel;
  /** Lines for people instead of JSON; where it is left out, when stderr is a terminal. */
  readonly human?: boolean;
}

/** Opens the log on stderr (fd 2). Lines are written at once, so that the last ones before a crash are there. */
export function openLog({ level, human = process.stderr.isTTY }: LogOptions): Log {
  const options = { level, redact, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  return human
    ? pino(options, { write: (line) => void process.stderr.write(forPeople(line)) })
    : pino(options, stderr());
}

/** A destination whose reader may be slow or gone: a line that cannot be written is dropped, the runtime goes on. */
function stderr(): pino.DestinationStream {
  const destination = pino.destination({ dest: 2, sync: true });
  destination.on('error', () => undefined);
  return destination;
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
