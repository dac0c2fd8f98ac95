// The file that signs a document.
import { readFile } from 'node:fs/promises';
import { signatureFile, signatureOf } from '../../state/document/document-signature.ts';
import { Failure } from './exit.ts';

/** The signature in FILE.sig, or in another file; null where there is none. Throws a Failure when that holds something else. */
export async function signatureBeside(document: string, given: string | undefined): Promise<string | null> {
  if (given === undefined && document === '-') return null;
  const file = given ?? signatureFile(document);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && given === undefined) return null;
    throw new Failure(`read ${file}: ${code ?? String(error)}`, { hint: 'northstate sign makes one' });
  });
  if (text === null) return null;
  const found = signatureOf(text);
  if (found !== null) return found;
  throw new Failure(`${file} holds no signature`, { hint: '64 bytes in base64 are expected: northstate sign' });
}
