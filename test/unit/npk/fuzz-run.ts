// Fuzzing by hand: node test/unit/npk/fuzz-run.ts [--cases N] [--seed FIRST]. Prints how often what came out, and the seeds of
// broken cases; a seed alone (--cases 1) repeats its case.
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz-watch.ts';

const { values } = parseArgs({
  options: { cases: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
});
const cases = Number(values.cases);
const seed = Number(values.seed);
if (!Number.isSafeInteger(cases) || !Number.isSafeInteger(seed))
  throw new RangeError('--cases and --seed are whole numbers');

const started = performance.now();
const { outcomes, broken } = await fuzz(seed, cases);
for (const [outcome, count] of [...outcomes].sort()) console.log(`${String(count).padStart(8)}  ${outcome}`);
for (const { seed: at, reason } of broken) console.log(`seed ${at}: ${reason}`);
console.log(`${cases} cases, ${broken.length} broken, ${((performance.now() - started) / 1000).toFixed(1)} s`);
process.exitCode = broken.length === 0 ? 0 : 1;
