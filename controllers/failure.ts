/**
 * A failure that no retry can mend: it stands until something that the step depends on changes (the entry, the package,
 * the host). `reason` is the word that a condition shows, in PascalCase.
 */
export class TerminalError extends Error {
  readonly reason: string;

  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TerminalError';
    this.reason = reason;
  }
}
