// Running the programs of build systems: what they say goes to whoever called us, what they print is read.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface ProgramOptions {
  readonly cwd?: string | undefined;
  /** Called for each line of stdout. */
  readonly onLine: (line: string) => void;
}

/** Runs a program without a shell; stderr is ours. Gives its exit code, or the signal that ended it. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { cwd, onLine }: ProgramOptions,
): Promise<number | NodeJS.Signals> {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout, crlfDelay: Infinity }).on('line', onLine);
  try {
    await Promise.all([once(child, 'close'), once(lines, 'close')]);
  } catch (error) {
    throw new Error(`${program} cannot be run: is it installed?`, { cause: error });
  }
  return child.exitCode ?? child.signalCode ?? 1;
}

/** Runs a program that prints something; gives it. Rejects when it fails: it has said why on stderr. */
export async function outputOf(program: string, args: readonly string[], cwd?: string): Promise<string> {
  const lines: string[] = [];
  const code = await runProgram(program, args, { cwd, onLine: (line) => void lines.push(line) });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed (exit code ${code})`);
  return lines.join('\n');
}
