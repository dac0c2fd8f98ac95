// npm run fuzz -- NAME [OPTION OF LIBFUZZER...]: a fuzzer of the launcher's parsers, until it finds something or is ended.
// What it finds that is new to it is kept in .build/fuzz/NAME.corpus, what breaks something in .build/fuzz/NAME-crash-*.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { buildFuzzer, corpusOf, fuzzEnvironment, fuzzerNames } from './fuzzers.ts';

const [given, ...options] = process.argv.slice(2);
const name = fuzzerNames.find((each) => each === given);
if (name === undefined) {
  console.error(`usage: npm run fuzz -- ${fuzzerNames.join('|')} [-max_total_time=SECONDS] [-runs=NUMBER] ...`);
  process.exit(2);
}
const program = buildFuzzer(name);
const found = `${program}.corpus`;
mkdirSync(found, { recursive: true });
const { status } = spawnSync(program, [`-artifact_prefix=${program}-`, ...options, found, corpusOf(name)], {
  stdio: 'inherit',
  env: fuzzEnvironment,
});
process.exitCode = status ?? 1;
