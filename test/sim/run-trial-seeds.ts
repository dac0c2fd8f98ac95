// Runs seeds of documents on trial by hand: node test/sim/run-trial-seeds.ts [--seeds N] [--seed FIRST]. One alone prints its trace.
import { parseArgs } from 'node:util';
import { simulateTrial } from './simulate-trial.ts';

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } },
});
const [count, first] = [Number(values.seeds), Number(values.seed)];
if (!Number.isSafeInteger(count) || !Number.isSafeInteger(first))
  throw new RangeError('--seeds and --seed are whole numbers');

let failed = 0;
const started = performance.now();
for (let seed = first; seed < first + count; seed += 1) {
  const outcome = await simulateTrial(seed);
  if (count === 1) console.log(outcome.trace.join('\n'));
  if (outcome.broken === null) continue;
  failed += 1;
  console.log(`seed ${seed}: ${outcome.broken}`);
  process.exitCode = 1;
}
console.log(`${count} seeds, ${failed} broken, ${((performance.now() - started) / 1000).toFixed(1)} s`);
