// npm run bench:vm NAME...: benchmarks on another kernel with cgroup v2, in software emulation. Their times are those of a
// machine some ten times slower; what they tell is the ratio to the floor, measured in the same machine.
import { globSync } from 'node:fs';
import path from 'node:path';
import { compiled } from '../bench/floor.ts';
import { exitStatus, startMachine } from './boot.ts';
import { prepareGuest } from './guest.ts';
import { root } from './kept.ts';

await compiled('floor');
const benches = globSync('test/bench/*.bench.ts', { cwd: root });
const { image } = await prepareGuest(['test/bench/run-benches.ts', ...benches, 'src/npk/image/digest-worker.ts']);
const command = ['node', 'test/bench/run-benches.ts', ...process.argv.slice(2).map((word) => path.basename(word))].join(
  ' ',
);
const machine = startMachine(image, command, { parameters: 'cgroup_no_v1=all' });
let output = '';
machine.output.setEncoding('utf8').on('data', (text: string) => {
  output += text.replaceAll('\r', '');
  process.stdout.write(text);
});
await machine.ended;
process.exitCode = exitStatus(output) ?? 1;
