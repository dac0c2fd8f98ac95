// Running the programs that make and unpack images.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** How much of a program's words is kept: the last of them, where its reason stands. */
const KEPT = 2000;

export interface ToolOptions {
  /** Sees stdout as it comes. */
  readonly onOutput?: (text: string) => void;
  /** A descriptor that the program gets as its number 3. */
  readonly descriptor?: number;
  /** Exit codes, beside 0, that are no failure. */
  readonly tolerated?: readonly number[];
}

export interface ToolOutput {
  /** The end of what it wrote. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program without a shell. Rejects when it is not there, or with its last words when it fails. */
export async function runTool(
  program: string,
  args: readonly string[],
  { onOutput, descriptor, tolerated = [] }: ToolOptions = {},
): Promise<ToolOutput> {
  // mksquashfs refuses to be told the time both ways.
  const { SOURCE_DATE_EPOCH: _, ...env } = process.env;
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe', descriptor ?? 'ignore'],
    env: { ...env, LC_ALL: 'C' },
  });
  const out = tail(child.stdout, onOutput);
  const said = tail(child.stderr);
  await once(child, 'close').catch((error: unknown) => {
    throw new Error(`${program} cannot be run: is it installed?`, { cause: error });
  });
  if (child.exitCode !== 0 && !tolerated.includes(child.exitCode ?? -1)) {
    const reason = child.signalCode ?? `exit code ${child.exitCode}`;
    throw new Error(`${program} failed (${reason}): ${(said() || out()).trim()}`);
  }
  return { stdout: out(), stderr: said() };
}

/** Keeps the end of what a stream says. */
function tail(stream: NodeJS.ReadableStream | null, onOutput?: (text: string) => void): () => string {
  let kept = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (text: string) => {
    kept = (kept + text).slice(-KEPT);
    onOutput?.(text);
  });
  return () => kept;
}
