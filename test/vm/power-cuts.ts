// Power cuts by hand: node test/vm/power-cuts.ts [--rounds N] [--seed S].
import { parseArgs } from 'node:util';
import { cutPower } from './power.ts';
import { prepareGuest } from './guest.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '20' }, seed: { type: 'string', default: `${Date.now() % 1e6}` } },
});
const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
if (!Number.isSafeInteger(rounds) || !Number.isSafeInteger(seed)) {
  throw new RangeError('--rounds and --seed are whole numbers');
}
console.log(`seed ${seed}`);
await cutPower({ ...(await prepareGuest([])), rounds, seed, log: console.log });
