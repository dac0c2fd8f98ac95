// Runs the real command line against a console over a runtime without a kernel.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** The command. */
export const entry = fileURLToPath(new URL('../../../src/cli/northstate', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a command; it is killed with the test when it still runs. */
export function startCommand(context: TestContext, url: string, args: readonly string[]): ChildProcess {
  const child = spawn(entry, args, { env: { ...process.env, NORTHSTATE_CONSOLE: url }, stdio: 'pipe' });
  context.after(() => void child.kill('SIGKILL'));
  return child;
}

/** Runs a command to its end; `input` is its standard input. */
export async function northstate(
  context: TestContext,
  url: string,
  args: readonly string[],
  input = '',
): Promise<Outcome> {
  const child = startCommand(context, url, args);
  child.stdin?.on('error', () => undefined).end(input);
  const closed = once(child, 'close') as Promise<[number | null]>;
  const [stdout, stderr, [code]] = await Promise.all([output(child.stdout), output(child.stderr), closed]);
  return { code, stdout, stderr };
}

async function output(stream: NodeJS.ReadableStream | null): Promise<string> {
  return stream === null ? '' : await text(stream);
}
