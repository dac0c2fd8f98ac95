// How a command ends: the exit codes that scripts rely on, and errors as one line with a hint.
import { messageOf } from '../../state/errno.ts';

/** Exit codes; `northstate --help` lists them. */
export const exitCodes = {
  ok: 0,
  error: 1,
  usage: 2,
  failed: 3,
  timeout: 4,
  noDaemon: 5,
  refused: 6,
  preflight: 7,
} as const;

/** A command cannot do what it was told. `hint` says what to do about it. */
export class Failure extends Error {
  readonly code: number;
  readonly hint: string | null;

  constructor(message: string, { code = exitCodes.error, hint = null }: { code?: number; hint?: string | null } = {}) {
    super(message);
    this.name = 'Failure';
    this.code = code;
    this.hint = hint;
  }
}

/** Any error as the command line shows it, on one line. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const message = messageOf(error);
  return new Failure(message.replaceAll(/\s*\n\s*/g, ' '));
}
