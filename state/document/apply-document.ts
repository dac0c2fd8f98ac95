// A whole new document from somebody who holds no editor: an updater, a console, a rollback.
import { judge, type AdmissionReason, type Given } from './admission.ts';
import { isConfirmedText } from './confirmed-text.ts';
import { signatureOf } from './document-signature.ts';
import { writeSignature } from './read-signed.ts';
import { checkExpected, DocumentConflict } from './refusals.ts';
import { adopt } from './adopt.ts';
import { refuse } from './put-into-force.ts';
import { refusalOf, targetOf, wayOf } from './stage-document.ts';
import type { GoodDocument } from './parsed-document.ts';
import { castDraft } from 'immer';
import type { Trial } from '../trial/known-trial.ts';
import { isUnderWay } from '../trial/trial-record.ts';
import { stage } from '../trial/transitions.ts';
import type { Adopted } from './staged.ts';
import { besideItsFile, synchronise, type FileOptions } from './synchronise.ts';
import { hashText } from './generation.ts';
import { sameLock, type Lock } from './lock.ts';
import type { Core } from './core.ts';
import { dropFields, placesOf } from './overlay.ts';
import { publish } from './publish.ts';
import { createStore, type State } from '../store.ts';
import type { DocumentError } from '../text/yaml.ts';
import { LARGEST_DOCUMENT } from './parsed-document.ts';
import { goodDocument, noPlace } from '../status.ts';
import { messageOf } from '../errno.ts';

/** A document that was refused, with its place. */
export class DocumentRefused extends Error {
  readonly error: DocumentError;

  /** Why it does not count on this device; null: the text itself is bad. */
  readonly reason: AdmissionReason | null;

  constructor(error: DocumentError, reason: AdmissionReason | null = null) {
    super(error.line === 0 ? error.message : `line ${error.line}, column ${error.column}: ${error.message}`);
    this.name = 'DocumentRefused';
    this.error = error;
    this.reason = reason;
  }
}

export interface ApplyOptions {
  /** The generation that must be in force; null = any. */
  readonly expected?: number | null;
  /** Only checks the document. */
  readonly dryRun?: boolean;
  readonly origin: string;
  /** What its entries are to be resolved to, whatever they are now. */
  readonly lock?: Lock;
  /** What signs it, where that is not in it. */
  readonly signature?: string | null;
  /** It may stop more than half of what runs. */
  readonly prune?: boolean;
  /** Whatever stands against it; its generation says so. */
  readonly force?: boolean;
  /** It was confirmed on this device: its serial may be lower than that of what came since. */
  readonly confirmed?: boolean;
}

/**
 * Replaces the document and its file. Where the file cannot be written the whole text is in force all the same, kept as a
 * generation, until the file is edited. Throws DocumentRefused or DocumentConflict.
 */
export async function applyText(
  core: Core,
  options: FileOptions,
  text: string,
  given: ApplyOptions,
): Promise<{ generation: number }> {
  const { confirmed = false } = given;
  const signature = checkedSignature(given.signature ?? null);
  const parsed = await judge(core, { text, signature }, confirmed || (await isConfirmedText(core, text)));
  if (!parsed.ok) throw new DocumentRefused(parsed.error, parsed.reason);
  await synchronise(core, options, false);
  const { generation } = core.store.get();
  checkExpected(generation, given.expected);
  const refusal = await refusalOf(core, parsed, given.prune === true || given.force === true || confirmed);
  if (refusal !== null) throw new DocumentRefused(noPlace(refusal));
  if (given.dryRun === true) return { generation };
  const forced = given.force === true;
  if (core.staged?.text === text && !forced) return { generation: core.staged.generation };
  const { origin, lock } = given;
  const written = await write(core, options, { text, signature });
  const isSame = !forced && text === core.text && signature === core.signature && core.staged === null;
  if (isSame && !isOverlaid(core) && hasLock(core, lock) && (written.besides ?? null) === core.besides)
    return { generation };
  const made = { kind: 'apply', origin, signature, forced, ...(lock !== undefined && { lock }), ...written } as const;
  refuse(core, await adopt(core, text, parsed, made));
  return { generation: core.staged?.generation ?? core.store.get().generation };
}

/** It goes to the disk as it is: what is none is refused, also where none is asked for. */
function checkedSignature(signature: string | null): string | null {
  if (signature === null || signatureOf(signature) === signature) return signature;
  throw new DocumentRefused(noPlace('the signature is not 64 bytes in base64: northstate sign makes one'));
}

/** Whether something holds over what the document in force states. */
function isOverlaid({ inForce, written }: Core): boolean {
  const { overlay } = inForce;
  if (overlay.length === 0) return false;
  return dropFields(overlay, placesOf(written.tree, written.tree, true)).length < overlay.length;
}

function hasLock(core: Core, lock: Lock | undefined): boolean {
  const now = core.store.get().lock;
  return [...(lock ?? [])].every(([key, resolved]) => sameLock(now.get(key), resolved));
}

/** Writes the file; gives how it differs when it cannot be written. */
async function write(
  core: Core,
  options: FileOptions,
  { text, signature }: Given,
): Promise<Pick<Adopted, 'besides' | 'notWritten'>> {
  if (text === core.onDisk && signature === (core.onDiskSignature ?? null)) return {};
  try {
    if (signature !== null) await writeSignature(options.path, signature, options);
    core.onDiskSignature = signature ?? undefined;
    if (text === core.onDisk) return {};
    await replaceDocument(core, options, text);
  } catch (error) {
    if (error instanceof DocumentConflict) throw error;
    const reason = messageOf(error);
    core.log.warn(
      { reason, path: options.path },
      'the document cannot be written; what was applied is kept in stateDir',
    );
    const besides = core.onDisk === null ? '' : hashText(core.onDisk);
    return { besides, notWritten: `${reason}: ${besideItsFile(options.path, core.highest + 1)}` };
  }
  core.onDisk = text;
  return {};
}

/** Whether a document would be on trial; one that cannot be read, or does not count, would not. */
export async function isTried(core: Core, given: Given): Promise<boolean> {
  // Without a section that asks for a trial anywhere, nothing needs to be read.
  const asks = core.configuredTrial !== null || core.written.desired.trial !== null || core.trial !== null;
  if (!asks && !given.text.includes('trial')) return false;
  const parsed = await judge(core, given);
  return parsed.ok && (await wayOf(core, parsed)).kind === 'try';
}

/** The state that a text would lead to; nothing is changed. Rejects with DocumentRefused. */
export async function previewText(core: Core, text: string): Promise<State> {
  const parsed = await core.parser.parse(text);
  if (!parsed.ok) throw new DocumentRefused(parsed.error);
  const { adoptDocument, inPlaceOf } = await import('./in-force.ts');
  const generation = core.highest + 1;
  const written = inPlaceOf(core.inForce.document, parsed, generation);
  const scratch = createStore(core.store.get());
  publish(scratch, adoptDocument(core.inForce, written, generation, true), generation, goodDocument(generation));
  const trial = await previewTrial(core, parsed, generation);
  if (trial !== undefined) scratch.update((draft) => void (draft.trial = castDraft(trial)));
  return scratch.get();
}

/** The trial as it would be with a document in force; undefined: as it is. */
async function previewTrial(
  core: Core,
  parsed: Pick<GoodDocument, 'tree' | 'desired'>,
  generation: number,
): Promise<Trial | undefined> {
  const { trial: shown, lock } = core.store.get();
  const way = await wayOf(core, parsed);
  if (way.kind === 'end' && shown !== null) return { ...shown, record: { ...shown.record, state: 'reverting' } };
  if (way.kind !== 'try') return undefined;
  const goesOn = isUnderWay(core.trial) && shown !== null;
  const { target, before } = goesOn ? shown : targetOf(core.written.desired, lock);
  const record = stage(core.trial, { generation, confirmed: core.stored, terms: way.terms }, core.moment());
  return { record: { ...record, state: 'active' }, waits: null, target, lacking: [], before };
}

async function replaceDocument(core: Core, options: FileOptions, text: string): Promise<void> {
  const { files } = core;
  const file = await files.read(options.path, LARGEST_DOCUMENT);
  const edited = new DocumentConflict(core.store.get().generation, 'the file is being edited');
  if (file.kind === 'moving') throw edited;
  if (file.kind === 'missing') {
    if ((await files.create(options.path, text)) !== null) throw edited;
    return;
  }
  if (file.kind !== 'text') throw new Error(file.message);
  const saved = await files.replace(file, text, options);
  if (saved === null) return;
  // Somebody saved the file in this very moment: that save is given back to its author.
  await files.replace({ ...file, text }, saved, options);
  throw edited;
}
