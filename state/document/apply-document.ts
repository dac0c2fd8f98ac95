// A whole new document from somebody who holds no editor: an updater, a console, a rollback.
import { checkExpected, DocumentConflict } from './refusals.ts';
import { adopt, refuse, synchronise, type FileOptions } from './synchronise.ts';
import { saveBoot, show, type Core } from './core.ts';
import { readDocumentFile } from '../file/document-file.ts';
import { differences } from './overlay.ts';
import { publish } from './publish.ts';
import { createStore, type State } from '../store.ts';
import { createFile, replaceFile } from '../file/write-file.ts';
import type { DocumentError } from '../text/yaml.ts';
import { LARGEST_DOCUMENT } from './parsed-document.ts';
import { goodDocument, notWritable } from '../status.ts';
import { messageOf } from '../errno.ts';

/** A document that was refused, with its place. */
export class DocumentRefused extends Error {
  readonly error: DocumentError;

  constructor(error: DocumentError) {
    super(error.line === 0 ? error.message : `line ${error.line}, column ${error.column}: ${error.message}`);
    this.name = 'DocumentRefused';
    this.error = error;
  }
}

export interface ApplyOptions {
  /** The generation that must be in force; null = any. */
  readonly expected?: number | null;
  /** Only checks the document. */
  readonly dryRun?: boolean;
  readonly origin: string;
}

/**
 * Replaces the document and its file. One that cannot be written lasts until the boot ends instead. Throws DocumentRefused
 * or DocumentConflict.
 */
export async function applyText(
  core: Core,
  options: FileOptions,
  text: string,
  given: ApplyOptions,
): Promise<{ generation: number }> {
  const parsed = await core.parser.parse(text);
  if (!parsed.ok) throw new DocumentRefused(parsed.error);
  await synchronise(core, options, false);
  const { generation, document } = core.store.get();
  checkExpected(generation, given.expected);
  if (given.dryRun === true || (text === core.text && document.status === 'ok')) return { generation };
  try {
    await replaceDocument(core, options, text);
  } catch (error) {
    if (error instanceof DocumentConflict) throw error;
    return await layOver(core, text, messageOf(error), given.origin);
  }
  core.onDisk = text;
  refuse(core, await adopt(core, text, parsed, 'apply', given.origin));
  return { generation: core.store.get().generation };
}

/** The state that a text would lead to; nothing is changed. Rejects with DocumentRefused. */
export async function previewText(core: Core, text: string): Promise<State> {
  const parsed = await core.parser.parse(text);
  if (!parsed.ok) throw new DocumentRefused(parsed.error);
  const { adoptDocument, rebuild } = await import('./in-force.ts');
  const generation = core.highest + 1;
  const written = rebuild(core.inForce, parsed.tree, generation);
  const scratch = createStore(core.store.get());
  publish(scratch, adoptDocument(core.inForce, written, generation), generation, goodDocument(generation));
  return scratch.get();
}

async function replaceDocument(core: Core, options: FileOptions, text: string): Promise<void> {
  const file = await readDocumentFile(options.path, LARGEST_DOCUMENT);
  const edited = new DocumentConflict(core.store.get().generation, 'the file is being edited');
  if (file.kind === 'moving') throw edited;
  if (file.kind === 'missing') {
    if ((await createFile(options.path, text)) !== null) throw edited;
    return;
  }
  if (file.kind !== 'text') throw new Error(file.message);
  const saved = await replaceFile(file, text, options);
  if (saved === null) return;
  // Somebody saved the file in this very moment: that save is given back to its author.
  await replaceFile({ ...file, text }, saved, options);
  throw edited;
}

async function layOver(core: Core, text: string, message: string, origin: string): Promise<{ generation: number }> {
  const { divert } = await import('./in-force.ts');
  const parsed = await core.parser.parse(text);
  if (!parsed.ok) throw new DocumentRefused(parsed.error);
  const generation = ++core.highest;
  const fields = differences(core.written.tree, parsed.tree).map((field) => ({ ...field, origin, generation }));
  const status = notWritable(core.store.get().document, message);
  show(core, divert(core.inForce, core.inForce.document, fields, generation), generation, status);
  core.log.warn(
    { reason: message, generation },
    'the document cannot be written; what was applied lasts until the boot ends',
  );
  await saveBoot(core);
  return { generation };
}
