// What starts of a reconciler have taken, as their logs say.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectConsole } from '../../src/client/console-client.ts';
import { asleep } from '../support/sleeper.ts';
import type { Daemon } from '../support/test-daemon.ts';
import { row, type Row } from './measure.ts';

/** From the start of the process until it is ready: ms, ms of the processor, switches of all its threads. */
export interface Spent {
  readonly ms: number;
  readonly cpu: number;
  readonly switches: number;
}

/** That of the latest. */
export function lastStart({ directory }: Daemon): Spent {
  const lines = readFileSync(join(directory, 'log'), 'utf8').split('\n');
  const last = lines.findLast((line) => line.includes('"msg":"ready"'));
  if (last === undefined) throw new Error('no reconciler has been ready');
  return JSON.parse(last) as Spent;
}

/** Connects, asks for the list of containers and hangs up; gives the ms until the answer. */
export async function ask(daemon: Daemon): Promise<number> {
  const begun = performance.now();
  const client = await connectConsole(daemon.console);
  await client.call('list', null);
  const taken = performance.now() - begun;
  client.close();
  return taken;
}

/** Wakes by a question, each from a sleep: what they took until ready, and what the question waited beyond that. */
export async function* wakes(bench: string, daemon: Daemon, when: string, count: number): AsyncGenerator<Row> {
  const taken: Spent[] = [];
  const beyond: number[] = [];
  for (let i = 0; i < count; i++) {
    await asleep(daemon);
    const waited = await ask(daemon);
    taken.push(lastStart(daemon));
    beyond.push(waited - lastStart(daemon).ms);
  }
  const field = (name: keyof Spent): number[] => taken.map((each) => each[name]);
  yield row(bench, `${when}: to ready`, 'ms', field('ms'));
  yield row(bench, `${when}: to ready, processor`, 'ms', field('cpu'));
  yield row(bench, `${when}: to ready, switches`, 'switches', field('switches'));
  yield row(bench, `${when}: first list, beyond that`, 'ms', beyond);
}
