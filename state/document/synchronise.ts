// The file and the document in force brought together: an edit is taken over, pending patches are written.
import { setTimeout as wait } from 'node:timers/promises';
import {
  type Core,
  type Pending,
  prepareGeneration,
  saveBoot,
  setUnsure,
  setWritten,
  show,
  showStatus,
  storeGeneration,
  storeLock,
} from './core.ts';
import type { Lock } from './lock.ts';
import { readFileOf } from './read-signed.ts';
import { isPassing, judge } from './admission.ts';
import { readDocumentFile, type FileResult, type FileText } from '../file/document-file.ts';
import { REST } from '../file/file-watch.ts';
import { DocumentConflict } from './refusals.ts';
import { createFile, replaceFile, type ReplaceOptions } from '../file/write-file.ts';
import { metadataOf } from '../metadata.ts';
import { hashText, type Kind } from './generation-files.ts';
import { noPlace, badDocument, goodDocument, notWritable, type DocumentStatus } from '../status.ts';
import { LARGEST_DOCUMENT, type Parsed } from './parsed-document.ts';
import { messageOf } from '../errno.ts';

export interface FileOptions extends ReplaceOptions {
  /** The document's path. */
  readonly path: string;
}

const fromFile: Adopted = { kind: 'file', origin: 'file' };

const TORN = 'the end mark "..." is missing, which the generation in force has: the file was not written whole';

/** What the document of an empty file says. */
export const EMPTY_TEXT = 'apiVersion: northstate/v1\n';

/**
 * Reads the file; takes over what is new in it, or says why it cannot be used; then writes the pending patches, or lays
 * them over the document when they cannot be written. `rested`: nothing has touched the file for a while.
 */
export async function synchronise(core: Core, options: FileOptions, rested: boolean): Promise<void> {
  for (;;) {
    const file = await readAtRest(core, options.path, rested);
    if (file.kind === 'moving') return; // its writer's next event brings us back
    if (isNew(core, file)) await takeOver(core, file);
    if (core.pending.length === 0) return;
    const { status, error } = core.store.get().document;
    const unusable = status === 'invalid' || file.kind === 'refused' || file.kind === 'unreadable';
    if (unusable) await divertPending(core, core.store.get().document, error?.message ?? 'refused');
    else await writePending(core, options, file.kind === 'text' ? file : null);
  }
}

/** A file that is not as it was must stay the same for a while before it is believed: somebody may be writing it in place. */
async function readAtRest(core: Core, path: string, rested: boolean): Promise<FileResult> {
  const file = await readFileOf(core, path);
  if (rested || !isNew(core, file)) return file;
  await wait(REST);
  const again = await readFileOf(core, path);
  return textOf(again) === textOf(file) && signatureIn(again) === signatureIn(file) ? again : { kind: 'moving' };
}

function textOf(file: FileResult): string | null {
  return file.kind === 'text' ? file.text : null;
}

function signatureIn(file: FileResult): string | null {
  return file.kind === 'text' ? file.signature : null;
}

function isNew(core: Core, file: FileResult): boolean {
  if (file.kind === 'refused' || file.kind === 'unreadable') return true;
  if (file.kind === 'missing' && core.stored > 0) return true;
  return textOf(file) !== core.onDisk || core.store.get().document.status === 'invalid';
}

/** Said of a generation that could not be written to the document's file. */
export function besideItsFile(path: string, generation: number): string {
  return `${path} could not be written and says something else; generation ${generation} is kept in stateDir, and the next edit of the file wins`;
}

/** Whether the file is as it was when what is in force could not be written to it: that is no edit. */
function isPassedOver(core: Core, file: FileResult): boolean {
  if (core.besides === null) return false;
  if (file.kind === 'text') return file.text !== core.text && hashText(file.text) === core.besides;
  return file.kind === 'missing' && core.besides === '';
}

async function takeOver(core: Core, file: FileResult): Promise<void> {
  const state = core.store.get();
  if (core.unsure.document === null && isPassedOver(core, file)) {
    core.onDisk = textOf(file);
    if (state.document.status === 'notWritable') return;
    showStatus(core, notWritable(state.document, besideItsFile(core.path, state.document.generation)));
    return;
  }
  if (file.kind !== 'text') {
    if (file.kind === 'moving' || (file.kind === 'missing' && core.stored === 0)) return;
    const message = file.kind === 'missing' ? 'the file is missing' : file.message;
    showStatus(core, badDocument(state.document, noPlace(message)));
    return;
  }
  if (core.unsure.document !== null && core.onlyStored) {
    showStatus(core, badDocument(state.document, noPlace(core.unsure.document)));
    return;
  }
  const isSame = file.text === core.onDisk && file.signature === core.onDiskSignature;
  const unchanged = core.admission.keys === null ? file.text === core.onDisk : isSame && core.unjudged === null;
  Object.assign(core, { onDisk: file.text, onDiskSignature: file.signature });
  if (file.text === core.text) {
    core.unjudged = null;
    core.stand('DocumentRefused', core.path, null);
    showStatus(core, goodDocument(state.document.generation));
    setUnsure(core, { document: null });
  } else if (unchanged)
    return; // still what was refused before
  else if (file.text.trim() !== '' || core.stored > 0) await takeOverText(core, file);
}

async function takeOverText(core: Core, { text, signature }: FileText): Promise<void> {
  const parsed = await judge(core, { text, signature });
  const state = core.store.get();
  const refused = parsed.ok || parsed.reason === null ? null : parsed.error.message;
  core.unjudged = !parsed.ok && isPassing(parsed.reason) ? parsed.error.message : null;
  core.stand('DocumentRefused', core.path, refused);
  if (!parsed.ok) showStatus(core, badDocument(state.document, parsed.error));
  else if (core.endMark && !parsed.endMark) showStatus(core, badDocument(state.document, noPlace(TORN)));
  else refuse(core, await adopt(core, text, parsed, { ...fromFile, signature }));
}

/** Where a new document comes from. */
export interface Adopted {
  readonly kind: Kind;
  readonly origin: string;
  /** As Generation.besides has it; null when left out. */
  readonly besides?: string | null;
  /** Why the file does not have it, where it does not. */
  readonly notWritten?: string;
  /** What its entries are to be resolved to, whatever they are now. */
  readonly lock?: Lock;
  /** What signs it, where that is not in it. */
  readonly signature?: string | null;
  /** Whatever stands against it. */
  readonly forced?: boolean;
}

/** A new text becomes the document in force; patches that are pending are made anew on it. Gives those that are withdrawn. */
export async function adopt(
  core: Core,
  text: string,
  parsed: Extract<Parsed, { ok: true }>,
  { kind, origin, besides = null, notWritten, lock, signature = null, forced = false }: Adopted,
): Promise<readonly Pending[]> {
  const { adoptDocument, divert, inPlaceOf, patchDocument } = await import('./in-force.ts');
  await storeLock(core);
  const generation = ++core.highest;
  const written = inPlaceOf(core.inForce.document, parsed, generation);
  let inForce = adoptDocument(core.inForce, written, generation, kind === 'apply');
  const rebased: Pending[] = [];
  const diverted: Pending[] = [];
  const withdrawn: Pending[] = [];
  for (const patch of core.pending) {
    const mark = { generation: ++core.highest, origin: patch.origin, command: patch.command };
    try {
      const patched = patchDocument(inForce, patch.operations, mark);
      inForce = patched.inForce;
      rebased.push({ ...patch, ...patched, generation: mark.generation, built: inForce.document });
    } catch (error) {
      if (patch.withdraws) {
        withdrawn.push(patch);
        continue;
      }
      core.log.warn(
        { err: error, origin: patch.origin },
        'a patch does not fit the edited document; it lasts until the boot ends',
      );
      inForce = divert(inForce, inForce.document, patch.fields(), mark.generation);
      diverted.push(patch);
    }
  }
  const passed = core.inForce.overlay !== inForce.overlay || core.store.get().document.status === 'notWritable';
  core.stand('DocumentRefused', core.path, null);
  const { endMark } = parsed;
  setWritten(core, { text, endMark, written, signature });
  core.pending = rebased;
  const good = goodDocument(generation);
  show(core, inForce, core.highest, notWritten === undefined ? good : notWritable(good, notWritten), lock);
  core.log.info({ generation, origin }, 'a new document is in force');
  if (core.admission.keys !== null) await core.floor.raise(metadataOf(written.tree).serial ?? 0);
  await storeGeneration(core, { generation, kind, origin, text, endMark, written, besides, signature, forced });
  setUnsure(core, { document: null });
  if (passed) await saveBoot(core);
  const why = 'it does not fit the edited document, and lasts until the boot ends';
  for (const patch of diverted) patch.done.resolve(core.unkept ?? why);
  return withdrawn;
}

/** Says of patches that they do not fit what somebody else has made of the document; nothing of them is left. */
export function refuse(core: Core, withdrawn: readonly Pending[]): void {
  for (const { generation, done } of withdrawn) {
    const reason = `the patch that was generation ${generation} does not fit the edit that came between`;
    done.reject(new DocumentConflict(core.highest, reason, generation));
  }
}

async function writePending(core: Core, options: FileOptions, file: FileText | null): Promise<void> {
  const batch = core.pending;
  const last = batch.at(-1);
  if (last === undefined) return;
  let written: { readonly text: string; readonly saved: string | null };
  try {
    written = await writeBatch(core, options, file, batch, last);
  } catch (error) {
    const message = messageOf(error);
    await divertPending(core, notWritable(core.store.get().document, message), message);
    return;
  }
  const { text, saved } = written;
  if (saved === null) {
    setWritten(core, { text, endMark: core.endMark, written: last.built });
    Object.assign(core, { onDisk: text, pending: core.pending.slice(batch.length) });
    const { status } = core.store.get().document;
    showStatus(core, goodDocument(last.generation));
    if (status === 'notWritable') await saveBoot(core);
    const why = core.generations.lacks(last.generation);
    for (const patch of batch) patch.done.resolve(why);
  } else if (file !== null) {
    core.onDisk = text;
    await keepSave(core, options, saved, text);
  }
}

/** Writes the document and the generation at the same time: the disk is waited for once. `saved` as replaceFile() gives it. */
async function writeBatch(
  core: Core,
  options: FileOptions,
  file: FileText | null,
  batch: readonly Pending[],
  { generation, origin, built }: Pending,
): Promise<{ text: string; saved: string | null }> {
  const changes = batch.flatMap((patch) => patch.changes);
  const text = await core.parser.splice(core.text === '' ? EMPTY_TEXT : core.text, changes);
  const { endMark } = core;
  await storeLock(core);
  const made = {
    generation,
    kind: 'console',
    origin,
    text,
    endMark,
    written: built,
    besides: null,
    signature: null,
  } as const;
  const prepared = prepareGeneration(core, made);
  let saved: string | null = '';
  try {
    saved = await (file === null ? createFile(options.path, text) : replaceFile(file, text, options));
  } finally {
    const store = await prepared;
    await store(saved === null);
  }
  return { text, saved };
}

/** Somebody saved the file between our reading and our writing: the patches are made anew on what was saved. */
async function keepSave(core: Core, options: FileOptions, saved: string, ours: string): Promise<void> {
  const parsed = await core.parser.parse(saved);
  const isGood = parsed.ok && (!core.endMark || parsed.endMark);
  const withdrawn = isGood ? await adopt(core, saved, parsed, fromFile) : [];
  if (core.pending.length === 0 || !isGood) {
    const file = await readDocumentFile(options.path, LARGEST_DOCUMENT);
    if (file.kind === 'text' && file.text === ours) await replaceFile(file, saved, options);
  }
  refuse(core, withdrawn);
  // The next turn finds it; where something is wrong with it, that is said, and the patches are laid over the document.
}

/** The pending patches last until the boot ends instead. */
async function divertPending(core: Core, status: DocumentStatus, reason: string): Promise<void> {
  const { divert } = await import('./in-force.ts');
  const batch = core.pending;
  core.pending = [];
  const fields = batch.flatMap((patch) => patch.fields());
  core.log.warn(
    { reason, patches: batch.length },
    'patches cannot be written to the document; they last until the boot ends',
  );
  show(
    core,
    divert(core.inForce, core.written, fields, core.store.get().generation),
    core.store.get().generation,
    status,
  );
  const unkept = await saveBoot(core);
  const why = unkept ?? `${reason}: the document cannot be written; it lasts until the boot ends`;
  for (const patch of batch) patch.done.resolve(why);
}
