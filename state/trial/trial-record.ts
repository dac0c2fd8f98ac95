// What is kept of a trial beside the generations, through deaths, reboots and power cuts.
import type { TrialTerms } from './terms.ts';

/** Raised with every change of its form. */
const form = 1;

/**
 * `staged`: its packages are awaited, and nothing has been touched. `active`: it is in force, unconfirmed. `reverting`: the
 * confirmed one is to be in force again, and that is not done yet. `confirmed` and `reverted` are how the last trial ended.
 */
export const trialStates = ['staged', 'active', 'reverting', 'confirmed', 'reverted'] as const;
export type TrialState = (typeof trialStates)[number];

/** Why a trial went back. */
export const causeReasons = [
  'NotHealthy',
  'NotConfirmed',
  'TooManyBoots',
  'ReconcilerDied',
  'Requested',
  'NotCounted',
  'RecordLost',
] as const;
export type CauseReason = (typeof causeReasons)[number];

export interface Cause {
  readonly reason: CauseReason;
  readonly message: string;
  /** ms since the epoch. */
  readonly time: number;
  /** Keys of the entries that have failed; none where that is not known. */
  readonly entries: readonly string[];
}

export interface TrialRecord {
  readonly state: TrialState;
  /** The generation that was confirmed before: everything after it is on trial, and it is what a revert goes to. */
  readonly confirmed: number;
  /** The newest document on trial. */
  readonly generation: number;
  readonly terms: TrialTerms;
  /** When the first document of this trial came; ms since the epoch. */
  readonly since: number;
  /** Boots that have begun with it active and unconfirmed, beside the one in which it became so. */
  readonly boots: number;
  /** The boot that was counted last (random(4), boot_id), and from when `within` counts in it: CLOCK_BOOTTIME in ms. */
  readonly boot: { readonly id: string; readonly at: number };
  /** Keys of the entries that must be Ready: what it changed, and what was Ready before. */
  readonly asked: readonly string[];
  /** Keys of those that were Ready before the first document of it: what a revert has to come to; null = none has been active yet. */
  readonly before: readonly string[] | null;
  /** The first cause of a revert stays the cause. */
  readonly cause: Cause | null;
  /** Patches of consoles that a revert has dropped, since their entries are no more: `pointer (command)`. */
  readonly dropped: readonly string[];
}

/** Whether a trial is not at its end. */
export function isUnderWay(record: TrialRecord | null): record is TrialRecord {
  return record !== null && record.state !== 'confirmed' && record.state !== 'reverted';
}

/**
 * The last confirmed generation of those that are stored; 0 = there never was one. Boot plans, rollbacks under signed documents
 * and whatever else must not build on what is on trial ask this.
 */
export function lastConfirmed(record: TrialRecord | null, newest: number): number {
  return isUnderWay(record) ? Math.min(record.confirmed, newest) : newest;
}

export function encodeTrial(record: TrialRecord): string {
  return JSON.stringify({ form, ...record });
}

/** Throws without an errno when the text is no record of a trial in a form that this version knows. */
export function decodeTrial(text: string): TrialRecord {
  const found = JSON.parse(text) as Partial<TrialRecord> & { readonly form?: unknown };
  const { form: known, ...record } = found;
  if (known !== form) throw new Error(`its form is ${JSON.stringify(known)}, and ${form} is known`);
  if (!isRecord(record)) throw new Error('it is no record of a trial');
  return record;
}

function isRecord(given: Partial<TrialRecord>): given is TrialRecord {
  const { state, confirmed, generation, terms, since, boots, boot, asked, before, dropped } = given;
  const numbers: unknown[] = [confirmed, generation, since, boots, boot?.at, terms?.soak, terms?.within, terms?.boots];
  return (
    trialStates.some((each) => each === state) &&
    numbers.every((each) => typeof each === 'number' && Number.isFinite(each)) &&
    typeof boot?.id === 'string' &&
    Array.isArray(asked) &&
    (before === null || Array.isArray(before)) &&
    Array.isArray(dropped)
  );
}
