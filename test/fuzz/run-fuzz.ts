// npm run fuzz -- NAME [OPTION...]: a fuzzer of a parser, until it finds something or is ended. Those of the launcher's take
// libFuzzer's options, those of the TypeScript's readers --runs NUMBER, --seconds NUMBER, --seed NUMBER and --file INPUT.
// What it finds that is new to it is kept in .build/fuzz/NAME.corpus, what breaks something in .build/fuzz/NAME-crash-*.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildFuzzer, corpusOf, fuzzEnvironment, fuzzerNames, output, type FuzzerName } from './fuzzers.ts';
import { hunt, inputsIn } from './hunt.ts';
import { readerNames, readers, type ReaderName } from './readers.ts';

const [given, ...options] = process.argv.slice(2);
const fuzzer = fuzzerNames.find((each) => each === given);
const reader = readerNames.find((each) => each === given);
if (fuzzer !== undefined) process.exitCode = underLibFuzzer(fuzzer);
else if (reader !== undefined) process.exitCode = await overReader(reader);
else {
  console.error(`usage: npm run fuzz -- ${[...fuzzerNames, ...readerNames].join('|')} [OPTION...]`);
  process.exitCode = 2;
}

function underLibFuzzer(name: FuzzerName): number {
  const program = buildFuzzer(name);
  const found = `${program}.corpus`;
  mkdirSync(found, { recursive: true });
  const { status } = spawnSync(program, [`-artifact_prefix=${program}-`, ...options, found, corpusOf(name)], {
    stdio: 'inherit',
    env: fuzzEnvironment,
  });
  return status ?? 1;
}

async function overReader(name: ReaderName): Promise<number> {
  const number = { type: 'string' } as const;
  const { values } = parseArgs({
    args: options,
    options: { runs: number, seconds: number, seed: number, file: number },
  });
  if (values.file !== undefined) {
    await readers[name].read(readFileSync(values.file));
    return 0;
  }
  const kept = join(output, `${name}.corpus`);
  mkdirSync(kept, { recursive: true });
  const corpus = [...inputsIn(corpusOf(name)), ...inputsIn(kept)];
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const seconds = Number(values.seconds ?? 2 ** 21);
  const result = await hunt(readers[name], corpus, {
    seed,
    runs: Number(values.runs ?? Infinity),
    signal: AbortSignal.timeout(seconds * 1000),
    keep: (input) => writeFileSync(join(kept, digestOf(input)), input),
  });
  const rate = Math.round((1000 * result.runs) / result.milliseconds);
  console.log(
    `${name}: seed ${seed}, ${result.runs} inputs, ${rate} a second, ${result.reached} characters of source reached, ${result.kept.length} inputs new`,
  );
  if (result.found === null) return 0;
  const file = join(output, `${name}-crash-${digestOf(result.found.input)}`);
  writeFileSync(file, result.found.input);
  console.error(result.found.error);
  console.error(`again: npm run fuzz -- ${name} --file ${file}`);
  return 1;
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
