// What goes wrong with a step.
import type { ConditionReason } from '../state/status.ts';
import type { Step } from './controller.ts';

/**
 * A failure that no retry can mend: it stands until something that the step depends on changes (the entry, the package,
 * the host). `reason` is the word that a condition shows, `subject` what it is about where that is not the container itself.
 */
export class TerminalError extends Error {
  readonly reason: ConditionReason;
  readonly subject: string | null;
  /** The path on the host that was not there: the step is tried again when it appears. Null: it is something else. */
  readonly missing: string | null;

  constructor(
    reason: ConditionReason,
    message: string,
    options: ErrorOptions & { readonly subject?: string; readonly missing?: string } = {},
  ) {
    super(message, options);
    this.name = 'TerminalError';
    this.reason = reason;
    this.subject = options.subject ?? null;
    this.missing = options.missing ?? null;
  }
}

/** A step that could not be performed. `retryAt` (CLOCK_BOOTTIME in ms) is null for one that a retry cannot mend. */
export interface StepFailure {
  readonly op: string;
  readonly reason: ConditionReason;
  readonly subject: string | null;
  readonly message: string;
  readonly count: number;
  readonly retryAt: number | null;
}

/** What the loop could not do for a name: steps that wait, and failures that stand. */
export interface Left {
  readonly steps: readonly Step[];
  readonly failures: readonly StepFailure[];
}

/** One thing that keeps a container from being as the document has it. */
export interface Unsettled {
  /** The step that waits or has failed; null where there is none to be done. */
  readonly op: string | null;
  /** For a person. */
  readonly text: string;
  /** The containers by which it concerns the one that was asked about, each a dependency of the one before; [] = its own. */
  readonly by: readonly string[];
}

/** One line of it. */
export function unsettledText({ by, text }: Unsettled): string {
  return [...by.map((name) => `  ${name}: `), text].join('');
}
