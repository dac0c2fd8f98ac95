// Many power cuts: node test/vm/power-cuts.ts [--rounds N] [--seed S] [--machines M]. `npm run test:power` makes 50.
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { cutPower } from './power.ts';
import { prepareGuest } from './guest.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: `${Date.now() % 1e6}` },
    machines: { type: 'string', default: '1' },
  },
});
const [rounds, seed, machines] = [Number(values.rounds), Number(values.seed), Number(values.machines)];
if (![rounds, seed, machines].every(Number.isSafeInteger)) {
  throw new RangeError('--rounds, --seed and --machines are whole numbers');
}
console.log(`seed ${seed}`);
const guest = await prepareGuest([]);
/** Each has a share of the rounds, and a seed of its own. */
const all = await Promise.all(
  Array.from({ length: machines }, (_, index) => {
    const log = (line: string): void => console.log(machines === 1 ? line : `${seed + index}: ${line}`);
    return cutPower({ ...guest, rounds: Math.ceil(rounds / machines), seed: seed + index, log, takeovers: true });
  }),
);
const played = all.reduce((sum, boots) => sum + boots.played, 0);
const refused = all.reduce((sum, boots) => sum + boots.refused, 0);
console.log(`${rounds} power cuts: ${played} boots from a plan, ${refused} with a plan that did not count`);
if (rounds >= 20) assert.ok(played > 0, 'no boot was played');
