// The document at work: what is in force, what the file holds, and the patches that are on their way into it.
import type { Operation } from 'fast-json-patch';
import type { Admission } from './admission.ts';
import type { BootFile } from './boot-state.ts';
import type { Built } from '../schema/build-desired.ts';
import type { Kind } from './generation.ts';
import { SCHEMA, type Generations } from './generations.ts';
import type { InForce } from './in-force.ts';
import { keptLock, lockOf, sameLock, type Lock } from './lock.ts';
import type { OverlayField } from './overlay.ts';
import type { Parser } from './parser.ts';
import { publish } from './publish.ts';
import type { SerialFloor } from './serial-floor.ts';
import type { Desired } from '../desired.ts';
import { messageOf } from '../errno.ts';
import type { Stand } from '../standing.ts';
import { sameStatus, type DocumentStatus } from '../status.ts';
import type { Store } from '../store.ts';
import type { TreeChange } from '../text/tree.ts';
import type { Staged } from './staged.ts';
import type { Quarantined, QuarantineFile } from '../trial/quarantine.ts';
import type { TrialTerms } from '../trial/terms.ts';
import type { DocumentFiles } from '../file/document-files.ts';
import type { Moment } from '../trial/transitions.ts';
import type { Before } from '../trial/known-trial.ts';
import type { TrialFile } from '../trial/trial-file.ts';
import { isUnderWay, type TrialRecord, type TrialState } from '../trial/trial-record.ts';

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A patch that is in force but not in the file yet. */
export interface Pending {
  readonly operations: readonly Operation[];
  readonly origin: string;
  readonly command: string;
  readonly generation: number;
  readonly changes: readonly TreeChange[];
  readonly fields: () => readonly OverlayField[];
  /** Where it does not fit an edit that came between, it is withdrawn and `done` rejects; else it lasts until the boot ends. */
  readonly withdraws: boolean;
  /** The document with it. */
  readonly built: Built;
  readonly done: PromiseWithResolvers<NotDurable>;
}

/** Why what was put into force lasts shorter than was asked for; null = it is on the disk, or in runDir where that was asked. */
export type NotDurable = string | null;

export interface Core {
  /** Where is kept what this version made of a generation that another one has stored. */
  readonly understoodFile: string;
  readonly store: Store;
  readonly log: Log;
  readonly parser: Parser;
  readonly generations: Generations;
  readonly boot: BootFile;
  readonly runtime: string;
  readonly now: () => number;
  /** Which documents count here. */
  readonly admission: Admission;
  readonly floor: SerialFloor;
  /** The document's path. */
  readonly path: string;
  inForce: InForce;
  /** The highest generation that was ever given out. */
  highest: number;
  /** Generations that ended the runtime again and again in this boot. */
  refused: readonly number[];
  /** The document in force without what is pending: its text ('' = there never was one) and what it says. */
  text: string;
  endMark: boolean;
  /** What signs it, where that is not in it. */
  signature: string | null;
  written: Built;
  /** The stored generation that it is; 0 = none. */
  stored: number;
  /** As Generation.besides has it. */
  besides: string | null;
  /** What `written` is resolved to, and as much of that as is on the disk. */
  lock: Lock;
  storedLock: Lock;
  /** What entries were resolved to until the boot ends. */
  bootLock: Lock;
  /** What the file held when it was last read or written; null = there was none. */
  onDisk: string | null;
  /** What signed that, beside it; undefined = it was not looked at. */
  onDiskSignature: string | null | undefined;
  /** Why it cannot be judged now what the file holds; null when it can. */
  unjudged: string | null;
  /** Why the file could not be read the last time; null when it could, or was not there. */
  unreadable: string | null;
  /** Why it is not known what is wanted; null = it is. */
  unsure: Unsure;
  /** While the document is unsure: the file does not say it. */
  onlyStored: boolean;
  /** What `highest` is as long as nobody knows; null = it was always known. */
  guess: number | null;
  pending: readonly Pending[];
  /** What is done with the document's file. */
  readonly files: DocumentFiles;
  readonly trials: TrialFile;
  readonly quarantines: QuarantineFile;
  /** Now, as trials are counted. */
  readonly moment: () => Moment;
  /** What the configuration asks of every document. */
  readonly configuredTrial: TrialTerms | null;
  /** The trial under way, or how the last one ended; null: there was none. */
  trial: TrialRecord | null;
  /** The confirmed document is in force again, of a trial that goes back. */
  isBack: boolean;
  /** Packages (name:version) of the generation that a trial goes back to. */
  target: readonly string[];
  /** The same by container name. */
  before: ReadonlyMap<string, Before>;
  /** What is on trial and not in force yet. */
  staged: Staged | null;
  /** What has failed and is not to be tried again by itself. */
  quarantine: readonly Quarantined[];
  /** It is not on the disk yet. */
  quarantineLacks: boolean;
  /** Who made the stored generation that is in force. */
  origin: string;
  /** Why the overlay could not be kept in runDir the last time; null = it could. */
  unkept: NotDurable;
  /** Told of what cannot be done at present. */
  readonly stand: Stand;
  /** Told of what could not be kept, and is to be tried again. */
  readonly failed: () => void;
  /** Told of every step of a trial. */
  readonly tell: (state: TrialState) => void;
}

/** What could not be read at the start, nor anything in its place: the document in force, the overlay. */
export interface Unsure {
  readonly document: string | null;
  readonly overlay: string | null;
}

/** While something is unsure nothing is done: what runs goes on. */
export function setUnsure(core: Core, change: Partial<Unsure>): void {
  core.unsure = { ...core.unsure, ...change };
  const unknown = core.unsure.document ?? core.unsure.overlay;
  if (core.store.get().unknown === unknown) return;
  core.store.update((draft) => void (draft.unknown = unknown));
}

/** Puts what is in force into the store, as the generation given; `locked` as publish() has it. */
export function show(
  core: Core,
  inForce: InForce,
  generation: number,
  document: DocumentStatus,
  locked: Lock | null = null,
): void {
  core.inForce = inForce;
  publish(core.store, withRepositories(inForce, core.staged?.desired ?? null), generation, document, locked);
}

/** Packages of what is staged are installed into its repositories, which touches nothing that runs. */
function withRepositories(inForce: InForce, staged: Desired | null): InForce {
  const { tree, desired } = inForce.effective;
  const added = [...(staged?.repositories ?? [])].filter(([id]) => !desired.repositories.has(id));
  if (added.length === 0) return inForce;
  const quiet = added.map(([id, repository]) => [id, { ...repository, mountOnStart: false }] as const);
  const repositories = new Map([...desired.repositories, ...quiet]);
  return { ...inForce, effective: { tree, desired: { ...desired, repositories } } };
}

/** Another document is the one in force without what is pending; what its entries were resolved to stays, where they ask for the same. */
export function setWritten(
  core: Core,
  {
    text,
    endMark,
    written,
    signature = null,
  }: Pick<Core, 'text' | 'endMark' | 'written'> & Partial<Pick<Core, 'signature'>>,
): void {
  const kept = (lock: Lock): Lock => keptLock(lock, core.written, written);
  const lock = kept(core.lock);
  Object.assign(core, { text, endMark, signature, written, lock, storedLock: lock, bootLock: kept(core.bootLock) });
}

/** Stores what the entries of the stored generation were resolved to since. */
export async function storeLock(core: Core): Promise<void> {
  const { stored, lock, storedLock } = core;
  if (stored === 0 || lock === storedLock) return;
  core.storedLock = lock;
  await core.generations.writeLock(stored, lock);
}

/** Says that somebody has forced a generation: neither locks nor gates hold it up. */
export function showForced(core: Core, generation: number): void {
  core.store.update((draft) => void (draft.forced = generation));
}

/** Changes the document's status alone. */
export function showStatus(core: Core, status: DocumentStatus): void {
  const { document } = core.store.get();
  if (sameStatus(document, status)) return;
  core.store.update((draft) => {
    draft.document = status;
  });
  if (document.status === status.status && document.error?.message === status.error?.message) return;
  if (status.status === 'ok') core.log.info({ generation: status.generation }, 'the document is in force');
  else core.log.warn({ ...status.error, generation: status.generation }, `the document is ${status.status}`);
}

/** A document that is to be stored as a generation. */
export interface NewGeneration {
  readonly generation: number;
  readonly kind: Kind;
  readonly origin: string;
  readonly text: string;
  readonly endMark: boolean;
  readonly written: Built;
  readonly besides: string | null;
  readonly signature: string | null;
  /** False when left out. */
  readonly forced?: boolean;
}

/** Stores a generation that is in force. */
export async function storeGeneration(core: Core, made: NewGeneration): Promise<void> {
  const store = await prepareGeneration(core, made);
  await store(true);
}

/**
 * Writes a generation to the disk; the function that it gives stores it for good, or throws it away. When it cannot be
 * stored it is in force all the same, and is stored when that is possible. `waits`: it is not in force yet, and what is to be
 * resolved to will be this.
 */
export async function prepareGeneration(
  core: Core,
  given: NewGeneration,
  waits: { readonly lock: Lock } | null = null,
): Promise<(keep: boolean) => Promise<void>> {
  const { written, ...plain } = given;
  const time = core.now();
  const lock = new Map([...lockOf(written, core.store.get(), core), ...(waits?.lock ?? [])]);
  // What a revert makes is confirmed.
  const trial = isUnderWay(core.trial) && core.trial.state !== 'reverting' ? core.trial.confirmed : null;
  const made = { time, since: time, schema: SCHEMA, runtime: core.runtime };
  const generation = { forced: false, ...plain, ...made, trial, lock, ...written };
  const prepared = await core.generations.prepare(generation);
  return async (keep) => {
    const { generation: stored, besides, origin } = given;
    if (keep && waits === null) Object.assign(core, { stored, besides, origin, lock, storedLock: lock });
    await (keep ? prepared.commit() : prepared.discard());
  };
}

/** Keeps the overlay for the rest of the boot; gives why it cannot be, and it is then tried again. */
export async function saveBoot(core: Core): Promise<NotDurable> {
  // One that could not be read is not written over.
  if (core.unsure.overlay !== null) return core.unsure.overlay;
  const { overlay } = core.inForce;
  const lock = new Map([...core.store.get().lock].filter(([key, now]) => !sameLock(core.lock.get(key), now)));
  try {
    const { document } = core.store.get();
    const notWritable = document.status === 'notWritable' ? (document.error?.message ?? '') : null;
    await core.boot.save({ generation: core.highest, refused: core.refused, overlay, lock, notWritable });
    core.unkept = null;
  } catch (error) {
    core.log.error({ err: error }, 'the overlay cannot be kept');
    core.unkept = `${messageOf(error)}: what lasts until the boot ends is lost with the runtime, until it can be written`;
    core.failed();
  }
  core.stand('NotDurable', core.boot.path, core.unkept);
  return core.unkept;
}
