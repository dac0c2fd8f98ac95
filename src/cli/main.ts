// The command line's entry: runs one command, shows its error as one line, ends with its exit code.
import { CommanderError } from 'commander';
import { asFailure, exitCodes } from './exit.ts';
import { createProgram } from './program.ts';

// Whoever reads our output may stop reading (`northstate get | head`); that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  } else {
    const { message, hint, code } = asFailure(error);
    process.stderr.write(`northstate: ${message}${hint === null ? '' : ` (${hint})`}\n`);
    process.exitCode = code;
  }
}
