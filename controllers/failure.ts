import type { Step } from './controller.ts';

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

/** A step that could not be performed. `retryAt` (CLOCK_BOOTTIME in ms) is null for one that a retry cannot mend. */
export interface StepFailure {
  readonly op: string;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly retryAt: number | null;
}

/** What the loop could not do for a name: steps that wait, and failures that stand. */
export interface Left {
  readonly steps: readonly Step[];
  readonly failures: readonly StepFailure[];
}
