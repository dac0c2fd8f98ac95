// The thread in which cases of fuzzing run: it tells each seed before and each outcome after.
import { parentPort, workerData } from 'node:worker_threads';
import { createHasher } from '../../../src/npk/image/hasher.ts';
import { fuzzOnce, makeCorpus } from './fuzz-cases.ts';

export interface FuzzRange {
  readonly work: string;
  readonly first: number;
  readonly count: number;
}

export type FuzzMessage =
  | { readonly seed: number }
  | { readonly seed: number; readonly outcome: string; readonly external: number }
  | { readonly seed: number; readonly broken: string };

const { work, first, count } = workerData as FuzzRange;
const tell = (message: FuzzMessage): void => parentPort?.postMessage(message);
await using hasher = createHasher(1);
const corpus = await makeCorpus(work);
for (let seed = first; seed < first + count; seed++) {
  tell({ seed });
  try {
    const outcome = await fuzzOnce(seed, corpus, hasher);
    tell({ seed, outcome, external: process.memoryUsage().arrayBuffers });
  } catch (error) {
    tell({ seed, broken: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
