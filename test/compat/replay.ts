// Plays a recorded console transcript against a console, as fixtures/replay.py does; its first lines explain the form.
import { isDeepStrictEqual } from 'node:util';
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { rawClient, type RawClient } from '../support/console/scratch.ts';

export const fixtures = new URL('../fixtures/', import.meta.url);

export interface TranscriptEvent {
  readonly on: string;
  readonly open?: true;
  readonly send?: unknown;
  readonly send_text?: string;
  readonly send_file?: string;
  readonly bytes?: number;
  readonly wait?: number;
  readonly close?: true;
  readonly recv?: unknown;
  readonly recv_end?: true;
}

export interface Transcript {
  /** Path of its northstar.toml in the fixtures. */
  readonly config: string;
  readonly packages: readonly string[];
  readonly events: readonly TranscriptEvent[];
}

export async function readTranscript(name: string): Promise<Transcript> {
  const text = await readFile(new URL(`transcripts/${name}.jsonl`, fixtures), 'utf8');
  const [head, ...events] = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  const { config, packages } = head as Transcript;
  return { config, packages, events: events as TranscriptEvent[] };
}

/** Plays it; throws at the first difference. What the console says between two of the client's events may come in any order. */
export async function replay(context: TestContext, url: string, events: readonly TranscriptEvent[]): Promise<void> {
  const clients = new Map<string, RawClient>();
  const due = new Map<string, unknown[]>();
  /** What placeholders stood for. */
  const bound: Bound = new Map();
  for (const event of [...events, null]) {
    if (event !== null && (event.recv !== undefined || event.recv_end === true)) {
      due.set(event.on, [...(due.get(event.on) ?? []), event.recv ?? null]);
      continue;
    }
    for (const [name, expected] of due) await receive(name, clients.get(name), expected, bound);
    due.clear();
    if (event?.open === true) clients.set(event.on, rawClient(context, url));
    else if (event !== null) await act(event, clients.get(event.on), bound);
  }
}

async function act(event: TranscriptEvent, client: RawClient | undefined, bound: Bound): Promise<void> {
  if (event.send !== undefined) client?.send(filled(event.send, bound));
  else if (event.send_text !== undefined) client?.socket.write(event.send_text);
  else if (event.send_file !== undefined) {
    const bytes = await readFile(new URL(event.send_file, fixtures));
    client?.socket.write(bytes.subarray(0, event.bytes));
  } else if (event.wait !== undefined) await delay(event.wait * 1000);
  else if (event.close === true) client?.socket.destroy();
}

async function receive(name: string, client: RawClient | undefined, expected: unknown[], bound: Bound): Promise<void> {
  while (expected.length > 0) {
    const actual = await client?.next();
    const found = expected.findIndex((each) => matches(each, actual, bound));
    if (found < 0) throw new Error(`${name}: got ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
    expected.splice(found, 1);
  }
}

/** By placeholder, with its brackets. */
type Bound = Map<string, unknown>;

/** A message of the client with what was received for its placeholders. */
function filled(message: unknown, bound: Bound): unknown {
  return JSON.parse(JSON.stringify(message), (_, value: unknown) =>
    typeof value === 'string' && bound.has(value) ? bound.get(value) : value,
  );
}

const placeholder = /<(?!INIT>)[A-Z_]+>/;

/** Whether a message is as recorded: a text in angle brackets stands for any value, lists of texts have no order. */
export function matches(expected: unknown, actual: unknown, bound: Bound = new Map()): boolean {
  if (typeof expected === 'string' && placeholder.test(expected)) {
    bound.set(expected, actual);
    return true;
  }
  if (Array.isArray(expected) && Array.isArray(actual)) {
    const texts = [...(expected as unknown[]), ...(actual as unknown[])].every((item) => typeof item === 'string');
    const [left, right] = texts ? [expected.toSorted(), actual.toSorted()] : [expected, actual];
    return left.length === right.length && left.every((item, index) => matches(item, right[index], bound));
  }
  if (!isObject(expected) || !isObject(actual)) return isDeepStrictEqual(expected, actual);
  if ('unexpected' in expected && 'unexpected' in actual) return true; // the texts are each runtime's own
  const names = Object.keys(expected);
  return (
    names.length === Object.keys(actual).length && names.every((each) => matches(expected[each], actual[each], bound))
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
