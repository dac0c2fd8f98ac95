// A trial as the store has it.
import type { TrialRecord } from './trial-record.ts';

export interface Trial {
  readonly record: TrialRecord;
  /** What it waits for; null = nothing is known yet. */
  readonly waits: string | null;
  /** Packages (name:version) of the confirmed generation. */
  readonly target: readonly string[];
  /** Those of them that are not installed any more: a revert could not start them. */
  readonly lacking: readonly string[];
  /** What the confirmed generation has of each container name. */
  readonly before: ReadonlyMap<string, Before>;
}

/** What was confirmed of a name: the version that ran, and whether its entry asks for its data to be kept. */
export interface Before {
  readonly version: string;
  readonly snapshot: boolean;
}
