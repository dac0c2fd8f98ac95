// The test entry: `npm test`, or `npm test -- unit kernel` for some of the folders only. Runs every check, also after one
// has failed, and ends with a summary and exit code 1 when any failed.
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { styleText } from 'node:util';

interface Check {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

const statics: Check[] = [
  { name: 'types', command: 'tsc', args: ['-p', '.'] },
  { name: 'format', command: 'prettier', args: ['--check', '--log-level', 'warn', '.'] },
  { name: 'lint', command: 'eslint', args: ['--config', '.eslint.config.mjs', '.'] },
  { name: 'unused', command: 'knip', args: [] },
];

/** Folders of tests, in the order in which they run, and how many of their files run at a time. */
const folders = new Map([
  ['unit', 2],
  ['sim', 2],
  ['compat', 1],
  ['kernel', 2],
]);

function tests(folder: string, concurrency: number): Check[] {
  const files = globSync(`test/${folder}/**/*.test.ts`);
  const options = ['--test', `--test-concurrency=${concurrency}`, '--test-timeout=300000', '--test-reporter=spec'];
  return files.length === 0 ? [] : [{ name: folder, command: process.execPath, args: [...options, ...files.sort()] }];
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !folders.has(name));
if (unknown.length > 0)
  throw new Error(`no such folder of tests: ${unknown.join(', ')}; there are ${[...folders.keys()].join(', ')}`);

const checks = [
  ...(asked.length === 0 ? statics : []),
  ...[...folders].flatMap(([folder, concurrency]) =>
    asked.length === 0 || asked.includes(folder) ? tests(folder, concurrency) : [],
  ),
];

// One scratch directory for all, so that what a test forgets does not stay on the machine.
const scratch = mkdtempSync(join(tmpdir(), 'northstate-test-'));
const results = checks.map(({ name, command, args }) => {
  console.log(styleText('bold', `── ${name}`));
  const started = performance.now();
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, TMPDIR: scratch } });
  if (error) console.error(`${command}: ${error.message}`);
  return { name, passed: status === 0, seconds: (performance.now() - started) / 1000 };
});
rmSync(scratch, { recursive: true, force: true });

console.log(styleText('bold', '── summary'));
for (const { name, passed, seconds } of results)
  console.log(
    `${passed ? styleText('green', 'passed') : styleText('red', 'failed')}  ${seconds.toFixed(1).padStart(6)} s  ${name}`,
  );
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
