// bench/filter: nanoseconds that a system call takes without a filter, under the default profile as it is compiled (a binary
// tree), and under the same rules as a list that is gone through from the top.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seccompRules } from '../../controllers/sandbox/seccomp-profile.ts';
import { compileFor, ownArchitecture } from '../../native/seccomp-filter.ts';
import { run } from '../support/command.ts';
import { systemCalls } from '../escape/payload.ts';
import { compiled } from './floor.ts';
import { linearFilter } from './linear-filter.ts';
import { row, type Row } from './measure.ts';

const rounds = 50;
const calls = 100_000;
const names = ['no filter', 'default profile', 'linear list'];

export async function* bench(): AsyncGenerator<Row> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-filter-'));
  try {
    const rules = seccompRules({ profile: 'default' }, []);
    const files = ['-', join(directory, 'tree'), join(directory, 'list')] as const;
    await writeFile(files[1], compileFor(ownArchitecture, rules));
    await writeFile(files[2], linearFilter(rules, await systemCalls()));
    const program = await compiled('filter');
    const { code, stdout, stderr } = await run(program, [String(rounds), String(calls), ...files]);
    if (code !== 0) throw new Error(`${program}: ${stderr}`);
    const samples = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    for (const [column, call] of ['getppid', 'personality'].entries()) {
      for (const [index, name] of names.entries()) {
        const taken = samples.filter(([file]) => file === index).map((sample) => sample[column + 1] ?? 0);
        yield row('filter', `${call}, ${name}`, 'ns', taken, index === 0 ? undefined : `${call}, no filter`);
      }
    }
  } finally {
    await rm(directory, { recursive: true });
  }
}
