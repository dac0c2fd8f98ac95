// Runs seeds of the simulation by hand: node test/sim/run-seeds.ts [--seeds N] [--seed FIRST]. One seed alone prints its trace.
import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } },
});
const count = Number(values.seeds);
const first = Number(values.seed);
if (!Number.isSafeInteger(count) || !Number.isSafeInteger(first))
  throw new RangeError('--seeds and --seed are whole numbers');

let acts = 0;
let failed = 0;
const started = performance.now();
for (let seed = first; seed < first + count; seed += 1) {
  const outcome = await simulate(seed);
  acts += outcome.acts;
  if (outcome.broken === null && count > 1) continue;
  if (count === 1) console.log(outcome.trace.join('\n'));
  if (outcome.broken === null) continue;
  failed += 1;
  console.log(`seed ${seed}: ${outcome.broken}`);
  process.exitCode = 1;
}
const seconds = (performance.now() - started) / 1000;
console.log(`${count} seeds, ${acts} steps, ${failed} broken, ${seconds.toFixed(1)} s`);
