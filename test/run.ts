// The test entry: `npm test`, or `npm test -- unit kernel` for some of the folders only. Runs every check, also after one
// has failed, shows what the failed ones said, and ends with exit code 1 when there are any.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs, styleText } from 'node:util';
import { leftovers, openDescriptors } from './support/leaks.ts';

interface Result {
  readonly passed: boolean;
  readonly output: string;
}

interface Check {
  readonly name: string;
  readonly run: () => Promise<Result>;
}

// One scratch directory for all: what a test forgets does not stay on the machine, and is recognised by this name.
const scratch = mkdtempSync(join(tmpdir(), 'northstate-test-'));

// Processes of other users find what is theirs in it.
chmodSync(scratch, 0o711);
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

function program(name: string, command: string, ...args: readonly string[]): Check {
  return programWith({}, name, command, ...args);
}

function programWith(more: NodeJS.ProcessEnv, name: string, command: string, ...args: readonly string[]): Check {
  return {
    name,
    async run() {
      const env = { ...process.env, ...more, TMPDIR: scratch };
      const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
      const kill = (): void => void child.kill();
      process.once('exit', kill);
      const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
      process.off('exit', kill);
      return { passed: child.exitCode === 0, output: stdout + stderr };
    },
  };
}

// A test that hangs must not eat the time of the others; those on a real kernel have long ones among them.
const timeouts: Readonly<Record<string, string>> = { vm: '1200000' };

/** All of a folder, but for the folders and files of it that run elsewhere. */
function tests(folder: string, ...elsewhere: readonly string[]): Check {
  const found = globSync(`test/${folder}/**/*.test.ts`);
  const files = found.filter(
    (file) =>
      !elsewhere.some((other) => [`test/${other}.test.ts`, `test/${other}/`].some((start) => file.startsWith(start))),
  );
  if (files.length === 0) throw new Error(`there are no tests in test/${folder}`);
  return program(folder, process.execPath, ...optionsOf(folder), ...files);
}

function optionsOf(folder: string): string[] {
  const timeout = timeouts[folder] ?? '600000';
  return ['--test', '--test-concurrency=1', `--test-timeout=${timeout}`, '--test-reporter=dot'];
}

/** Tests on the kernel a second time, on runtimes that sleep as soon as they rest. */
function asleep(...files: readonly string[]): Check {
  const paths = files.flatMap((file) => globSync(`test/kernel/${file}.test.ts`));
  if (paths.length < files.length) throw new Error(`there is no such test: ${files.join(', ')}`);
  return programWith({ NORTHSTATE_TEST_SLEEP: '0s' }, 'asleep', process.execPath, ...optionsOf('kernel'), ...paths);
}

const nothingLeft: Check = {
  name: 'nothing left',
  async run() {
    const left = await leftovers(basename(scratch), openDescriptors());
    return { passed: left.length === 0, output: left.join('\n') };
  },
};

// Two lanes, since two processors are what a small machine has: what computes, and what waits for the kernel, each about as
// long. Afterwards the machines with another kernel, two at a time.
const { positionals: folders } = parseArgs({ allowPositionals: true });
/** They compute more than they wait. */
const packaging = ['kernel/build', 'kernel/release'];
/** Consoles, documents, groups; all of these folders with `npm run test:sleep`. */
const alsoAsleep = ['console/container-console', 'daemon/daemon-document', 'daemon/daemon-groups'];
const everythingAsleep = ['console/*', 'daemon/*'];
const lanes: Check[][] =
  folders.length > 0
    ? [folders.map((folder) => (folder === 'asleep' ? asleep(...everythingAsleep) : tests(folder)))]
    : [
        [
          program('types', 'tsc', '-p', '.'),
          program('format', 'prettier', '--check', '--log-level', 'warn', '.'),
          program('lint', 'eslint', '--config', '.eslint.config.mjs', '.'),
          program('unused', 'knip'),
          program('house', process.execPath, 'test/house.ts'),
          ...['sim', 'unit', 'escape', 'compat', ...packaging].map((folder) => tests(folder)),
          asleep(...alsoAsleep),
        ],
        [tests('kernel', ...packaging)],
      ];

let passes = 0;
let failed = 0;
async function runLane(checks: readonly Check[]): Promise<void> {
  for (const { name, run } of checks) {
    const started = performance.now();
    const { passed, output } = await run();
    const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(6);
    if (passed) passes += 1;
    else failed += 1;
    if (!passed) console.log(output);
    console.log(`${passed ? styleText('green', 'passed') : styleText('red', 'failed')} ${seconds} s  ${name}`);
  }
}

await Promise.all(lanes.map(runLane));
// Three boots of a whole Debian would take all of it beyond what a run may last: `npm run test:vm` has them.
await runLane([...(folders.length > 0 ? [] : [tests('vm', 'vm/systemd')]), nothingLeft]);
console.log(`${passes} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
