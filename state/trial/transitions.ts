// How a trial goes on: each function gives the next record, or null for what is not possible now. Pure: whoever calls it keeps the
// record before anything is done about it.
import type { TrialTerms } from './terms.ts';
import { isUnderWay, type Cause, type TrialRecord } from './trial-record.ts';

/** Now, on both clocks. */
export interface Moment {
  /** /proc/sys/kernel/random/boot_id */
  readonly boot: string;
  /** CLOCK_BOOTTIME in ms. */
  readonly at: number;
  /** ms since the epoch. */
  readonly time: number;
}

/** A new document: the first of a trial, or one that supersedes what is on trial. Target and boots stay those of the whole trial. */
export function stage(
  record: TrialRecord | null,
  {
    generation,
    confirmed,
    terms,
  }: { readonly generation: number; readonly confirmed: number; readonly terms: TrialTerms },
  now: Moment,
): TrialRecord {
  const boot = { id: now.boot, at: now.at };
  const staged = {
    state: 'staged',
    generation,
    terms,
    boot,
    asked: [],
    before: null,
    cause: null,
    dropped: [],
  } as const;
  // What is going back is as good as back: another trial begins.
  const goesOn = isUnderWay(record) && record.state !== 'reverting';
  if (!goesOn)
    return { ...staged, confirmed: isUnderWay(record) ? record.confirmed : confirmed, since: now.time, boots: 0 };
  const { confirmed: target, since, boots, before } = record;
  return { ...staged, confirmed: target, since, boots, before };
}

/** Everything that it needs is there: from here on it is in force. */
export function activate(
  record: TrialRecord,
  asked: readonly string[],
  before: readonly string[],
  now: Moment,
): TrialRecord | null {
  if (record.state !== 'staged') return null;
  // What superseded another one is still asked for what was Ready before the first.
  const all = record.before ?? before;
  return {
    ...record,
    state: 'active',
    asked: [...new Set([...asked, ...all])],
    before: all,
    boot: { id: now.boot, at: now.at },
  };
}

/** It is the confirmed one from here on. */
export function confirm(record: TrialRecord): TrialRecord | null {
  return record.state === 'active' ? { ...record, state: 'confirmed' } : null;
}

/** It goes back, and the first cause stays the cause. */
export function revert(record: TrialRecord, cause: Cause): TrialRecord | null {
  if (!isUnderWay(record)) return null;
  return { ...record, state: 'reverting', cause: record.cause ?? cause };
}

/** The way back is done. */
export function finishRevert(record: TrialRecord, dropped: readonly string[]): TrialRecord | null {
  return record.state === 'reverting' ? { ...record, state: 'reverted', dropped } : null;
}

/** What a start finds of a trial. */
export interface Found {
  /** Null: there is none. */
  readonly record: TrialRecord | null;
  /** What counts from here on; it is kept before anything is put into force when it is another one. */
  readonly next: TrialRecord | null;
  /** Generations above this are not put into force. */
  readonly upTo: number;
}

/**
 * A start, of the reconciler or in another boot; `newestDocument` is the newest generation that no console has made. A trial of which nothing was stored never began; one that was active is counted
 * in another boot, and goes back when too many have gone by.
 */
export function atStart(record: TrialRecord | null, newest: number, now: Moment, newestDocument = newest): Found {
  if (!isUnderWay(record)) return { record, next: record, upTo: newest };
  const upTo = record.confirmed;
  if (record.state === 'reverting') return { record, next: record, upTo };
  if (newest <= record.confirmed) return { record, next: null, upTo: newest };
  // A document on trial is in the record before it is stored: one that is not has ended the trial.
  if (newestDocument > record.generation) {
    const message = 'the confirmed document was put into force again';
    const back = revert(record, { reason: 'Requested', message, time: now.time, entries: [] });
    return { record, next: back === null ? null : finishRevert(back, []), upTo: newest };
  }
  if (record.state === 'staged') return { record, next: record, upTo };
  if (newest < record.generation) {
    const message = 'the document on trial was not stored';
    return { record, next: revert(record, { reason: 'RecordLost', message, time: now.time, entries: [] }), upTo };
  }
  if (record.boot.id === now.boot) return { record, next: record, upTo: newest };
  const counted: TrialRecord = { ...record, boots: record.boots + 1, boot: { id: now.boot, at: now.at } };
  if (counted.boots <= record.terms.boots) return { record, next: counted, upTo: newest };
  const { boots } = record.terms;
  const message = `${boots} ${boots === 1 ? 'boot has' : 'boots have'} gone by and it was not confirmed`;
  return { record, next: revert(counted, { reason: 'TooManyBoots', message, time: now.time, entries: [] }), upTo };
}

/** What all that is asked for has come to. */
export interface Health {
  /** Why it cannot come to be Ready; null = it can. */
  readonly failed: string | null;
  /** Keys of the entries that have failed, or are not Ready. */
  readonly entries: readonly string[];
  /** What is not Ready; null = all of it is. */
  readonly missing: string | null;
  /** Since when all of it is Ready, CLOCK_BOOTTIME in ms; null while something is missing. */
  readonly since: number | null;
}

/** What is to be done, or (`until`, CLOCK_BOOTTIME in ms) when to look again. */
export type Judgement =
  | { readonly next: 'confirm' }
  /** `entries`: those that are to blame, as far as that is known. */
  | {
      readonly next: 'revert';
      readonly entries: readonly string[];
      readonly reason: 'NotHealthy' | 'NotConfirmed';
      readonly message: string;
    }
  | { readonly next: 'wait'; readonly until: number; readonly waits: string };

/** Judges an active trial. Who looks late sees what would have been seen in time: a soak that ended before the deadline counts. */
export function judgeTrial({ terms, boot }: TrialRecord, health: Health, now: number): Judgement {
  const { confirm: how, soak, within } = terms;
  const deadline = boot.at + within;
  if (how === 'none') return { next: 'confirm' };
  if (health.failed !== null)
    return { next: 'revert', reason: 'NotHealthy', message: health.failed, entries: health.entries };
  const soaked = health.since === null ? null : Math.max(health.since, boot.at) + soak;
  if (how === 'health' && soaked !== null && soaked <= deadline && soaked <= now) return { next: 'confirm' };
  const missing =
    health.missing ?? (how === 'manual' ? 'nobody has confirmed it' : `it has not been Ready for ${soak} ms`);
  if (now >= deadline) {
    const message = `not confirmed within ${within} ms: ${missing}`;
    return { next: 'revert', reason: 'NotConfirmed', message, entries: health.entries };
  }
  const until = how === 'health' && soaked !== null ? Math.min(soaked, deadline) : deadline;
  return { next: 'wait', until, waits: missing };
}
