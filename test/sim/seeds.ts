// A worker that runs a range of seeds and posts those that broke an invariant.
import { parentPort, workerData } from 'node:worker_threads';
import { simulate } from './simulate.ts';

export interface Seeds {
  readonly first: number;
  readonly count: number;
}

const { first, count } = workerData as Seeds;
const broken: { seed: number; broken: string }[] = [];
for (let seed = first; seed < first + count; seed += 1) {
  const outcome = await simulate(seed);
  if (outcome.broken !== null) broken.push({ seed, broken: outcome.broken });
}
parentPort?.postMessage(broken);
