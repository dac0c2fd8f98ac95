// The file and the document in force brought together: an edit is taken over, pending patches are written.
import { setTimeout as wait } from 'node:timers/promises';
import { adopt } from './adopt.ts';
import { isConfirmedText } from './confirmed-text.ts';
import { prepareGeneration, saveBoot, setUnsure, setWritten, show, showStatus, storeLock } from './core.ts';
import type { Core, Pending } from './core.ts';
import { readFileOf } from './read-signed.ts';
import { isPassing, judge } from './admission.ts';
import type { FileResult, FileText } from '../file/document-file.ts';
import { REST } from '../file/file-watch.ts';
import { refuse } from './put-into-force.ts';
import { refusalOf } from './stage-document.ts';
import type { Adopted } from './staged.ts';
import type { ReplaceOptions } from '../file/write-file.ts';
import { hashText } from './generation.ts';
import { noPlace, badDocument, goodDocument, notWritable, type DocumentStatus } from '../status.ts';
import { LARGEST_DOCUMENT } from './parsed-document.ts';
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
    if (core.staged !== null) await divertPending(core, core.store.get().document, staysOut(core.staged));
    else if (unusable) await divertPending(core, core.store.get().document, error?.message ?? 'refused');
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

/** The file holds what is staged, and what is in force is stored already. */
function staysOut({ generation }: { readonly generation: number }): string {
  return `generation ${generation} is staged and waits to take the place of the one in force`;
}

/** Whether the file is as it was when what is in force could not be written to it: that is no edit. */
function isPassedOver(core: Core, file: FileResult): boolean {
  const { besides } = core.staged ?? core;
  if (besides === null) return false;
  if (file.kind === 'text') return file.text !== core.text && hashText(file.text) === besides;
  return file.kind === 'missing' && besides === '';
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
  if (file.text === core.text && core.staged === null) {
    core.unjudged = null;
    core.stand('DocumentRefused', core.path, null);
    showStatus(core, goodDocument(state.document.generation));
    setUnsure(core, { document: null });
  } else if (unchanged)
    return; // still what was refused before
  else if (file.text.trim() !== '' || core.stored > 0) await takeOverText(core, file);
}

async function takeOverText(core: Core, { text, signature }: FileText): Promise<void> {
  const parsed = await judge(core, { text, signature }, await isConfirmedText(core, text));
  const state = core.store.get();
  const refused = parsed.ok || parsed.reason === null ? null : parsed.error.message;
  core.unjudged = !parsed.ok && isPassing(parsed.reason) ? parsed.error.message : null;
  core.stand('DocumentRefused', core.path, refused);
  if (!parsed.ok) showStatus(core, badDocument(state.document, parsed.error));
  else if (core.endMark && !parsed.endMark) showStatus(core, badDocument(state.document, noPlace(TORN)));
  else {
    const refusal = await refusalOf(core, parsed);
    if (refusal !== null) showStatus(core, badDocument(state.document, noPlace(refusal)));
    else refuse(core, await adopt(core, text, parsed, { ...fromFile, signature }));
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
  const text = await core.parser.splice(core.text === '' ? EMPTY_TEXT : core.text, changes, built);
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
    saved = await (file === null ? core.files.create(options.path, text) : core.files.replace(file, text, options));
  } finally {
    const store = await prepared;
    await store(saved === null);
  }
  return { text, saved };
}

/** Somebody saved the file between our reading and our writing: the patches are made anew on what was saved. */
async function keepSave(core: Core, options: FileOptions, saved: string, ours: string): Promise<void> {
  const parsed = await core.parser.parse(saved);
  const isGood = parsed.ok && (!core.endMark || parsed.endMark) && (await refusalOf(core, parsed)) === null;
  const withdrawn = isGood ? await adopt(core, saved, parsed, fromFile) : [];
  if (core.pending.length === 0 || !isGood) {
    const file = await core.files.read(options.path, LARGEST_DOCUMENT);
    if (file.kind === 'text' && file.text === ours) await core.files.replace(file, saved, options);
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
