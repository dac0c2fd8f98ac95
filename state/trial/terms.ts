// What a document must come to before it is confirmed, and who may say so. Pure.
import type { Gate } from './gates.ts';

/** `health`: all of it Ready for `soak`; `manual`: somebody says so; `none`: at once. */
export const confirmations = ['none', 'health', 'manual'] as const;
export type Confirmation = (typeof confirmations)[number];

/** Times in ms. */
export interface TrialTerms {
  readonly confirm: Confirmation;
  /** How long all that is asked for must have been Ready. */
  readonly soak: number;
  /** Not confirmed by then, counted anew in each boot: back. */
  readonly within: number;
  /** After so many boots with it unconfirmed: back. */
  readonly boots: number;
  /** All of them must be open before anything is stopped; none when left out. */
  readonly when?: readonly Gate[];
  /** It may stop more than half of what runs: each document says that for itself. */
  readonly prune?: boolean;
}

/** The terms under which a new document is tried: in each point the stricter of all; null = nobody asks for a trial. */
export function strictest(all: readonly (TrialTerms | null)[]): TrialTerms | null {
  const given = all.filter((terms) => terms !== null);
  const [first] = given;
  if (first === undefined) return null;
  const strictness = Math.max(...given.map(({ confirm }) => confirmations.indexOf(confirm)));
  const soak = Math.max(...given.map((terms) => terms.soak));
  // Whoever asks for the longest soak has a time in which it can be had: a shorter one would refuse every document.
  const within = Math.min(...given.map((terms) => terms.within).filter((ms) => ms > soak));
  const boots = Math.min(...given.map((terms) => terms.boots));
  const gates = given.flatMap((terms) => terms.when ?? []).map((gate) => [JSON.stringify(gate), gate] as const);
  const when = [...new Map(gates).values()];
  const confirm = confirmations[strictness] ?? first.confirm;
  return { confirm, soak, within, boots, ...(when.length > 0 && { when }) };
}
