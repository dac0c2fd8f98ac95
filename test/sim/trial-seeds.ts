// A worker that runs a range of seeds of documents on trial and posts those that broke an invariant.
import { parentPort, workerData } from 'node:worker_threads';
import type { Seeds } from './seeds.ts';
import { simulateTrial } from './simulate-trial.ts';

const { first, count } = workerData as Seeds;
const broken: { seed: number; broken: string }[] = [];
for (let seed = first; seed < first + count; seed += 1) {
  const outcome = await simulateTrial(seed);
  if (outcome.broken !== null) broken.push({ seed, broken: outcome.broken });
}
parentPort?.postMessage(broken);
