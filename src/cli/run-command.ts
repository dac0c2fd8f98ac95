// northstate run: executes the command's shell script, which executes the launcher without any Node; here only what the script
// leaves to a command line that reads everything.
import { existsSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { commandProgram, launcherHint, launcherProgram } from '../installation.ts';
import { Failure } from './exit.ts';

export interface RunOptions {
  readonly config?: string;
  readonly desired?: string;
  readonly stateDir?: string;
}

/** Becomes the launcher, in the same process; gives nothing back. Throws a Failure that says why it cannot. */
export function run({ config, desired, stateDir }: RunOptions): never {
  const words = Object.entries({ '--config': config, '--desired': desired, '--state-dir': stateDir });
  const given = words.flatMap(([option, value]) => (value === undefined ? [] : [option, value]));
  // execve(2) that fails ends Node with a core dump.
  const isWhole = [commandProgram(), launcherProgram()].every((path) => existsSync(path));
  if (!isWhole) throw new Failure(`launcher ${launcherProgram()}: ENOENT`, { hint: launcherHint() });
  flushCompileCache(); // execve(2) skips what Node does at its end
  process.execve?.(commandProgram(), [commandProgram(), 'run', ...given], process.env);
  throw new Failure('this Node has no execve', { hint: 'use the one that comes with northstate' });
}
