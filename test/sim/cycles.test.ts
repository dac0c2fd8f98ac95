// What thousands of starts and stops leave in memory: nothing that grows with their number.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { names, randomEntry, runOf, versions } from './catalog.ts';
import { startHost } from './host.ts';
import { createRandom } from './random.ts';
import { createLauncher } from './sim-launcher.ts';
import { createTime } from './time.ts';
import { createWorld, drop } from './world.ts';

const cycles = 5_000;
/** After so many of them what is bounded is full. */
const settled = 1_500;
/** Bytes for each further cycle: less than any object takes. */
const most = 100;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function used(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

test('five thousand starts and stops leave nothing in the loop, the model and the store', async () => {
  const time = createTime();
  const world = createWorld(createRandom(1), time);
  world.sick = false;
  const launcher = createLauncher(world);
  for (const name of names) for (const version of versions) drop(world, name, version);
  const plain = { ...randomEntry(world.random, 'alpha', 1), version: '1.0.0', source: null, dependsOn: new Map() };
  const entry = { ...plain, restart: { ...plain.restart, policy: 'never' as const }, prepare: false, paused: false };
  const host = startHost(world, launcher);

  async function reach(state: 'running' | 'mounted', run: number): Promise<void> {
    world.generation += 1;
    const containers = new Map([['alpha', { ...entry, state, run: runOf(run), generation: world.generation }]]);
    world.demand('alpha');
    world.desired = { ...world.desired, containers };
    host.reload();
    while (await time.step(time.now() + 60_000));
    assert.equal(world.broken, null);
    assert.equal(host.store.get().status.containers['alpha']?.phase, state === 'running' ? 'Running' : 'Mounted');
  }

  let before = 0;
  for (let cycle = 1; cycle <= cycles; cycle++) {
    await reach('running', cycle);
    await reach('mounted', cycle);
    // What the simulation itself remembers is not what is looked at.
    world.trace.length = 0;
    world.noted.clear();
    if (cycle === settled) before = used();
  }
  const grown = (used() - before) / (cycles - settled);
  host.crash();
  assert.ok(grown < most, `${grown.toFixed(0)} bytes are kept of each start`);
});
