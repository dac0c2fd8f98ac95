// The document's file together with what signs it beside it.
import type { Core } from './core.ts';
import { LARGEST_SIGNATURE, signatureFile, signatureOf } from './document-signature.ts';
import { LARGEST_DOCUMENT } from './parsed-document.ts';
import { readDocumentFile, type FileResult } from '../file/document-file.ts';
import { createFile, replaceFile, type ReplaceOptions } from '../file/write-file.ts';

/** Reads the file; where documents must be signed, with the signature beside it. What is none, or not root's, signs nothing. */
export async function readFileOf(core: Core, path: string): Promise<FileResult> {
  const file = await core.files.read(path, LARGEST_DOCUMENT);
  const whole = file.kind === 'text' && core.admission.keys !== null ? await withSignature(file, path) : file;
  core.unreadable = whole.kind === 'unreadable' ? whole.message : null;
  return whole;
}

async function withSignature(file: Extract<FileResult, { kind: 'text' }>, path: string): Promise<FileResult> {
  const beside = await readDocumentFile(signatureFile(path), LARGEST_SIGNATURE);
  if (beside.kind === 'unreadable' || beside.kind === 'moving') return beside;
  return beside.kind === 'text' ? { ...file, signature: signatureOf(beside.text) } : file;
}

/**
 * Writes the signature of a document that is about to be written: whoever finds the new document finds it signed. Throws the errno,
 * or why its file cannot be used.
 */
export async function writeSignature(path: string, signature: string, options: ReplaceOptions): Promise<void> {
  const at = signatureFile(path);
  const text = `${signature}\n`;
  const there = await readDocumentFile(at, LARGEST_DOCUMENT);
  if (there.kind === 'text') await replaceFile(there, text, options);
  else if (there.kind === 'missing') await createFile(at, text);
  else throw new Error(there.kind === 'moving' ? `${at} is being written` : there.message);
}
