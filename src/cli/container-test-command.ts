// northstate test: runs a package's container once, on a runtime of its own, and ends as it ended.
import { testContainer, TestError } from '../build/container-test.ts';
import { exitText } from '../../state/signals.ts';
import { printable } from './output.ts';

export interface TestCommand {
  readonly with?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly key?: string;
  readonly expect?: number;
  readonly timeout: number;
}

/** Exit codes that timeout(1) and container engines use when it is not the container that has ended. */
const failed = 125;
const timedOut = 124;

/** Prints what the container prints; the exit code is the container's, or 128 + the signal that ended it. */
export async function test(file: string, args: readonly string[], command: TestCommand): Promise<void> {
  const { with: others = [], env = {}, key, expect, timeout } = command;
  if (process.getuid?.() !== 0) {
    fail('test needs root: it runs containers', failed);
    return;
  }
  const over = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => over.abort());
  try {
    const exit = await testContainer({
      ...{ file, others, env, key, timeout, signal: over.signal },
      ...(args.length > 0 && { args }),
      onLine({ stream, line }) {
        const target = stream === 'stderr' ? process.stderr : process.stdout;
        target.write(`${target.isTTY ? printable(line) : line}\n`);
      },
    });
    const code = 'code' in exit ? exit.code : 128 + exit.signal;
    if ('signal' in exit) process.stderr.write(`northstate: ended with ${exitText(exit)}\n`);
    if (expect === undefined) process.exitCode = code;
    else if (code !== expect) fail(`the exit code is ${code}, and ${expect} was expected`, 1);
  } catch (error) {
    if (!(error instanceof TestError)) throw error;
    fail(error.message, error.timeout ? timedOut : failed);
  }
}

function fail(message: string, code: number): void {
  process.stderr.write(`northstate: ${message}\n`);
  process.exitCode = code;
}
