import assert from 'node:assert/strict';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Seeds } from './seeds.ts';
import { simulateTrial } from './simulate-trial.ts';

const SEEDS = 10_000;

test('thousands of documents on trial end confirmed on one of the two, wherever the power fails', async () => {
  const workers = Math.min(availableParallelism(), 8);
  const count = Math.ceil(SEEDS / workers);
  const results = await Promise.all(
    Array.from({ length: workers }, async (_, index) => {
      const seeds: Seeds = { first: 1 + index * count, count };
      const worker = new Worker(new URL('./trial-seeds.ts', import.meta.url), { workerData: seeds });
      const [broken] = (await once(worker, 'message')) as [readonly unknown[]];
      return broken;
    }),
  );
  assert.deepEqual(results.flat(), [], 'node test/sim/run-trial-seeds.ts --seed SEED shows the trace of one');
});

test('a seed of a document on trial replays exactly', async () => {
  for (const seed of [1, 7, 42]) {
    const [one, other] = [await simulateTrial(seed), await simulateTrial(seed)];
    assert.deepEqual(one.trace, other.trace);
    assert.ok(one.trace.length > 2);
  }
});
