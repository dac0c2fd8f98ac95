// The first line of a script (execve(2)): the interpreter, and the program that `env` is to find.
import { posix } from 'node:path';
import type { Manifest } from '../../../state/schema/manifest.ts';

export interface Script {
  readonly interpreter: string;
  /** The name that an interpreter called `env` looks for in PATH; null when it is no such line. */
  readonly program: string | null;
}

/** What the kernel reads of a file to tell what it is (BINPRM_BUF_SIZE). */
export const LONGEST_LINE = 256;

/** Where env(1) looks in a container that sets no PATH. */
const usualPath = '/usr/local/bin:/bin:/usr/bin';

/** Reads the first bytes of a file; null when it is no script. Throws an Error for a line that the kernel refuses. */
export function readScript(bytes: Buffer): Script | null {
  if (bytes.toString('latin1', 0, 2) !== '#!') return null;
  const line = bytes.subarray(0, LONGEST_LINE);
  const end = line.indexOf(0x0a);
  const text = line.toString('utf8', 2, end < 0 ? line.length : end);
  const [interpreter = '', ...rest] = text.trim().split(/[ \t]+/);
  if (end < 0 && bytes.length > LONGEST_LINE)
    throw new Error(`is a script whose first line has over ${LONGEST_LINE} bytes`);
  if (text.endsWith('\r'))
    throw new Error('is a script whose first line ends with a carriage return: store it with Unix line breaks');
  if (interpreter === '') throw new Error('is a script that names no interpreter behind "#!"');
  const words = rest.filter((word) => !word.startsWith('-') && !word.includes('='));
  return { interpreter, program: posix.basename(interpreter) === 'env' ? (words[0] ?? null) : null };
}

/** The paths where `env` looks for a program. */
export function pathsOf(program: string, { env }: Manifest): string[] {
  if (program.includes('/')) return [program];
  const directories = (env?.get('PATH') ?? usualPath).split(':');
  return directories.filter((directory) => directory.startsWith('/')).map((each) => posix.join(each, program));
}
