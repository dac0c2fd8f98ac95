// What an updater remembers over its own end: one small file, replaced in one step that survives a power cut.
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface Progress {
  /** SHA-256 of the bundle.json that it is about. */
  readonly bundle: string;
  /** The stored generation to go back to; null when there was no document before. */
  readonly previous: number | null;
  readonly outcome: 'applying' | 'converged' | 'failed';
}

/** What was remembered of this bundle; null when nothing was. */
export async function readProgress(path: string, bundle: string): Promise<Progress | null> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  const progress = text === null ? null : (JSON.parse(text) as Progress);
  return progress?.bundle === bundle ? progress : null;
}

/** Remembers; it is on the disk when this resolves. */
export async function writeProgress(path: string, progress: Progress): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(progress));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  const directory = await open(dirname(path), 'r');
  await directory.sync().finally(() => directory.close());
}
