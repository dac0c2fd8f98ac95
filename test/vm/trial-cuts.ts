// Many power cuts in trials: node test/vm/trial-cuts.ts [--rounds N] [--seed S]. `npm run test:trials` makes 20.
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { prepareTrials } from './guest.ts';
import { cutTrials } from './trial-power.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '20' }, seed: { type: 'string', default: `${Date.now() % 1e6}` } },
});
const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
if (![rounds, seed].every(Number.isSafeInteger)) throw new RangeError('--rounds and --seed are whole numbers');
console.log(`seed ${seed}`);
const ends = await cutTrials({ ...(await prepareTrials()), rounds, seed, log: (line) => console.log(line) });
console.log(
  `${rounds} power cuts, ${ends.inTrial} in trials: ${ends.confirmed} confirmed, ${ends.reverted} taken back, ${ends.tooManyBoots} after too many boots`,
);
if (rounds >= 20) assert.ok(ends.inTrial > 0, 'no cut was in a trial');
