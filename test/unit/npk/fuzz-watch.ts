// Runs cases of fuzzing in a thread and watches over it: no crash, no hang, no memory beyond a bound.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { FuzzMessage, FuzzRange } from './fuzz-worker.ts';

export interface FuzzReport {
  /** How often each outcome came. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Seeds of cases that ended with what is no error of ours, took too long or too much memory. */
  readonly broken: readonly { readonly seed: number; readonly reason: string }[];
}

/** ms that one case may take; nearly all take one or two. */
const LONGEST = 60_000;
/** MiB of objects and of buffers at any time. */
const MOST_HEAP = 192;
const MOST_BUFFERS = 128;

/** Runs the cases of seeds from `first` on; a seed always makes the same case. */
export async function fuzz(first: number, count: number): Promise<FuzzReport> {
  const work = await mkdtemp(join(tmpdir(), 'northstate-fuzz-'));
  try {
    return await watch({ work, first, count });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function watch(range: FuzzRange): Promise<FuzzReport> {
  const outcomes = new Map<string, number>();
  const broken: { seed: number; reason: string }[] = [];
  const done = Promise.withResolvers<void>();
  const worker = new Worker(new URL('./fuzz-worker.ts', import.meta.url), {
    workerData: range,
    resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP },
  });
  let seed = range.first;
  const stop = (reason: string): void => {
    broken.push({ seed, reason });
    void worker.terminate();
  };
  // Making the good inputs takes longer than a case.
  let timer = setTimeout(() => stop('the good inputs were not made in time'), 6 * LONGEST);
  worker.on('message', (message: FuzzMessage) => {
    ({ seed } = message);
    clearTimeout(timer);
    timer = setTimeout(() => stop(`not done after ${LONGEST} ms`), LONGEST);
    if ('broken' in message) broken.push({ seed, reason: message.broken });
    if (!('outcome' in message)) return;
    outcomes.set(message.outcome, (outcomes.get(message.outcome) ?? 0) + 1);
    if (message.external > MOST_BUFFERS * 2 ** 20) stop(`${message.external} bytes of buffers are in use`);
  });
  worker.on('error', (error) => broken.push({ seed, reason: error instanceof Error ? error.message : String(error) }));
  worker.on('exit', () => done.resolve());
  await done.promise;
  clearTimeout(timer);
  return { outcomes, broken };
}
