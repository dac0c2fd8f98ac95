// What this version of the runtime has made of a text that another one took in: kept in a file of runDir, since making it takes long,
// and whoever takes over, or wakes, needs it at once. One that is missing, or is of another text, is made anew.
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasErrno, ifMissing } from '../errno.ts';
import { makeDirectory } from './in-place.ts';
import { writeAtomically } from './write-file.ts';

/** The name of their directory in runDir. */
export const understoodDirectory = 'understood';

/** The file of a kind of text and a version. */
export function understoodFile(runDir: string, kind: 'configuration' | 'document', runtime: string): string {
  return join(runDir, understoodDirectory, `${kind}-${runtime}.json`);
}

/** The JSON value that was made of this text, or that `make` makes of it now (null: it is not understood, and is not kept). */
export async function understood(file: string, text: string, make: () => Promise<string | null>): Promise<unknown> {
  const key = hash('sha256', text);
  const found = await readFile(file, 'utf8').catch(ifMissing);
  const known = found === null ? null : readKept(found, key);
  if (known !== null) return known;
  const made = await make();
  if (made === null) return null;
  await makeDirectory(dirname(file), 0o700);
  await writeAtomically(file, `{"key":"${key}","value":${made}}`).catch(unlessFull);
  return JSON.parse(made) as unknown;
}

/** A tmpfs that takes nothing more costs the next one its time, and nothing else. */
function unlessFull(error: unknown): void {
  if (!hasErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
}

function readKept(json: string, key: string): unknown {
  try {
    const found = JSON.parse(json) as { readonly key?: unknown; readonly value?: unknown };
    return found.key === key ? (found.value ?? null) : null;
  } catch {
    return null; // cut off: it is made anew
  }
}
