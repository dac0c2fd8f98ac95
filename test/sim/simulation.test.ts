import assert from 'node:assert/strict';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { decodeRecord, encodeRecord } from '../../controllers/containers/attempt-record.ts';
import { noGroup } from '../../controllers/forecast/effect.ts';
import { createLauncher } from './sim-launcher.ts';
import { createRandom } from './random.ts';
import type { Seeds } from './seeds.ts';
import { simulate } from './simulate.ts';
import { createTime } from './time.ts';
import { createWorld } from './world.ts';

const SEEDS = 10_000;

test('ten thousand random documents converge through edits, failures, drift and deaths, and no invariant breaks', async () => {
  const workers = Math.min(availableParallelism(), 8);
  const count = Math.ceil(SEEDS / workers);
  const results = await Promise.all(
    Array.from({ length: workers }, async (_, index) => {
      const seeds: Seeds = { first: 1 + index * count, count };
      const worker = new Worker(new URL('./seeds.ts', import.meta.url), { workerData: seeds });
      const [broken] = (await once(worker, 'message')) as [readonly unknown[]];
      return broken;
    }),
  );
  assert.deepEqual(results.flat(), [], 'node test/sim/run-seeds.ts --seed SEED shows the trace of one');
});

test('a seed replays exactly', async () => {
  for (const seed of [1, 7, 42]) {
    const [one, other] = [await simulate(seed), await simulate(seed)];
    assert.deepEqual(one.trace, other.trace);
    assert.ok(one.trace.length > 0);
  }
});

test('a planner that stops what nobody asked it to stop is found', async () => {
  const time = createTime();
  const world = createWorld(createRandom(1), time);
  world.sick = false;
  world.observed = { ...world.observed, cgroups: new Map([['alpha', { ...noGroup('alpha'), leaves: [1] }]]) };
  const { launcher } = createLauncher(world).connect(() => undefined);
  const record = { ...decodeRecord(new Uint8Array()), version: '1.0.0' };
  const prepared = launcher.prepare({ id: 1, name: 'alpha', hash: '', record: encodeRecord(record), ops: [] });
  while (await time.step(Infinity));
  await prepared;
  const started = launcher.go({ id: 1, after: 0, record: encodeRecord(record), ops: [] });
  while (await time.step(Infinity));
  await started;
  const stopped = launcher.record(1, encodeRecord({ ...record, stop: { deadline: 0, killed: false } }));
  while (await time.step(Infinity));
  await stopped;
  assert.match(world.broken ?? '', /told to stop and nothing asked for it/);
});
