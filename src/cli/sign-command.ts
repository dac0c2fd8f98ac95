// northstate sign: a document's signature, beside it or in it; and what verify says of one.
import { metadataOf } from '../../state/metadata.ts';
import { parseDocument } from '../../state/document/parse-document.ts';
import {
  endsWithMark,
  signatureFile,
  signedInside,
  signerOf,
  signInside,
  signText,
} from '../../state/document/document-signature.ts';
import { prepareFile } from '../../state/file/write-file.ts';
import { readSecretKey, type PublicKey } from '../npk/signature/keys.ts';
import { readInput } from './document.ts';
import { signatureBeside } from './signature-file.ts';
import { Failure } from './exit.ts';
import { render, type Format } from './output.ts';

export interface SignOptions {
  readonly key: string;
  readonly inside?: boolean;
}

/** Signs a document that is good: into FILE.sig, or with `inside` into the file, which is replaced in one step. */
export async function sign(file: string, { key, inside }: SignOptions): Promise<void> {
  const secret = await readSecretKey(key);
  const text = await readInput(file);
  const parsed = parseDocument(text);
  if (!parsed.ok) {
    const { line, column, message } = parsed.error;
    throw new Failure(`${file}${line > 0 ? `:${line}:${column}` : ''}: ${message}`, { hint: 'nothing was signed' });
  }
  if (metadataOf(parsed.tree).serial === null) {
    const hint = 'metadata: { serial: 1 }, and a higher number in each one that follows';
    throw new Failure(`${file}: a signed document has a metadata.serial`, { hint });
  }
  if (inside !== true) {
    await (await prepareFile(signatureFile(file), `${signText(text, secret)}\n`, 0o644)).commit();
    process.stdout.write(`${signatureFile(file)}\n`);
    return;
  }
  if (!endsWithMark(signedInside(text)?.signed ?? text)) {
    throw new Failure(`${file}: its last line is no end mark`, { hint: 'end it with a line "..."' });
  }
  await (await prepareFile(file, signInside(text, secret), 0o644)).commit();
  process.stdout.write(`${file}\n`);
}

/** Prints whether a document is good and who has signed it; throws a Failure where one of them is not as it should be. */
export async function verifyDocument(
  file: string,
  keys: readonly PublicKey[] | null,
  { signature: given, output }: { readonly signature?: string; readonly output: Format },
): Promise<void> {
  const text = await readInput(file);
  const signature = await signatureBeside(file, given);
  const isSigned = signature !== null || signedInside(text) !== null;
  const parsed = parseDocument(text);
  const signer = keys === null ? null : signerOf(text, signature, keys);
  const serial = parsed.ok ? metadataOf(parsed.tree).serial : null;
  const fault = faultOf();
  if (output !== 'table') {
    const report = { file, ok: fault === null, fault, signed: isSigned, key: signer?.id ?? null, serial };
    process.stdout.write(await render(report, output));
    if (fault !== null) process.exitCode = 1;
    return;
  }
  if (fault !== null) throw new Failure(fault);
  const numbered = serial === null ? 'without a serial' : `serial ${serial}`;
  const untold = isSigned ? 'good as far as can be told without --key: it is signed' : 'good; it is not signed';
  const what = signer === null ? untold : `signed with key ${signer.id.slice(0, 16)}`;
  process.stdout.write(`${file}: ${numbered}, ${what}\n`);

  function faultOf(): string | null {
    if (!parsed.ok) {
      const { line, column, message } = parsed.error;
      return `${file}${line > 0 ? `:${line}:${column}` : ''}: ${message}`;
    }
    if (keys === null || signer !== null) return null;
    return `${file}: ${isSigned ? 'its signature is of other bytes, or by another key' : 'it is not signed'}`;
  }
}
