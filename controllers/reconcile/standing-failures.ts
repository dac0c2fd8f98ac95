// Failures of steps that stand when a process ends, after a sleep or a crash: the next one waits as long with what is to be
// tried again, and tries what no retry can mend only when what it stands on is something else.
import type { Standing } from './loop.ts';
import type { Model } from './model.ts';

export interface KeptFailures {
  /** Those that an earlier process has left. */
  readonly earlier: readonly KeptFailure[];
  keep(failures: readonly KeptFailure[]): void;
}

/** `basis`: what one that no retry mends stands on (Model.basis), else null. */
export interface KeptFailure extends Standing {
  readonly basis: string | null;
}

/** What is kept of failures that stand now. */
export function withBasis(failures: readonly Standing[], model: Pick<Model, 'basis'>): KeptFailure[] {
  return failures.map((each) => ({ ...each, basis: each.failure.retryAt === null ? model.basis(each.name) : null }));
}

/** Those of an earlier process that still stand. */
export function stillStanding(earlier: readonly KeptFailure[], model: Pick<Model, 'basis'>): readonly Standing[] {
  return earlier.filter(({ name, basis }) => basis === null || basis === model.basis(name));
}
