// What the machine whose power goes in trials is asked to do, and what it says. Each document has a number; its container app
// leaves a file of that number in its persistent data, so that the data tells which documents have run on it.
import { documentOf } from '../support/test-daemon.ts';
import { repository } from './power-orders.ts';

export type TrialOrder =
  /** A document with another version of app, which is on trial until somebody decides. */
  | { readonly op: 'try'; readonly number: number; readonly document: string }
  /** `full`: the disk is full when it is done. */
  | { readonly op: 'confirm' | 'revert'; readonly full: boolean };

/** What the runtime has come to. */
export interface TrialFound {
  /** The number of the document in force. */
  readonly number: number;
  /** Of which document the file is. */
  readonly file: number;
  /** Of which document each container is that runs. */
  readonly running: Readonly<Record<string, number>>;
  /** Numbers of the documents that have left their files in the persistent data, in order. */
  readonly data: readonly number[];
  readonly trial: { readonly state: string; readonly reason: string | null; readonly boots: number } | null;
  /** What is left in dataDir beside it. */
  readonly left: readonly string[];
}

export type TrialReply =
  { readonly up: TrialFound } | { readonly done: TrialFound } | { readonly stopped: number | string };

/** How often a device may start with a document unconfirmed. */
export const boots = 2;

/** The document of a number; versions of app take turns, so that each trial starts another one than the confirmed. */
export function trialDocument(number: number, version: string): string {
  const entries = [
    `app: { version: ${version}, settle: 100ms, persist: { snapshot: true }, env: { DOCUMENT: "${number}" }, args: [write, /data/n${number}, x, sleep] }`,
    `side: { state: running, settle: 100ms, env: { DOCUMENT: "${number}" } }`,
  ];
  const text = documentOf(repository, ...entries).replace('...\n', '');
  return `# number ${number}\n${text}trial: { confirm: manual, within: 1d, boots: ${boots} }\n...\n`;
}

/** The number of a text. */
export function numberOf(text: string): number {
  if (!text.endsWith('...\n')) throw new Error(`the document is torn:\n${text}`);
  return Number(/^# number (\d+)\n/.exec(text)?.[1]);
}
