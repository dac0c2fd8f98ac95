// Files that are made once and kept in .build/vm under a hash of what they are made from.
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '../..');
export const cache = path.join(root, '.build/vm');

/** Makes a file in a private folder first, so that a run that is cut off leaves nothing half made under its name. */
export async function build(target: string, make: (work: string, output: string) => Promise<void>): Promise<void> {
  const work = await mkdtemp(path.join(cache, 'work.'));
  const output = path.join(cache, `${path.basename(work)}.out`);
  try {
    await make(work, output);
    await rename(output, target);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(output, { force: true });
  }
}

/** What is of the same kind and was made from other input. A machine that runs keeps its file open. */
export async function removeOlder(target: string): Promise<void> {
  const [kind = ''] = path.basename(target).split('-');
  const older = (await readdir(cache)).filter((name) => name.startsWith(`${kind}-`) && name !== path.basename(target));
  await Promise.all(older.map((name) => rm(path.join(cache, name), { force: true })));
}

/** A short name for these texts, in this order. */
export function hash(...parts: readonly string[]): string {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part).update('\0');
  return digest.digest('hex').slice(0, 16);
}
