// northstate delta: how one package is made of another, for devices that have the other.
import { makeDelta } from '../fetch/delta/make-delta.ts';
import { PackageError } from '../npk/package-error.ts';
import { Failure } from './exit.ts';
import { createProgress } from './progress.ts';

export interface DeltaOptions {
  readonly out: string;
  readonly progress?: boolean;
}

/** Writes the file and prints its name and size. */
export async function delta(old: string, next: string, { out, progress: asked }: DeltaOptions): Promise<void> {
  const progress = createProgress(asked === true);
  const made = await makeDelta(old, next, { out, onProgress: (part) => progress.show('delta', part) })
    .catch((error: unknown) => {
      throw error instanceof PackageError ? new Failure(`${error.reason}: ${error.message}`) : error;
    })
    .finally(progress.end);
  process.stdout.write(`${made.path}: ${made.size} bytes, for a package of ${made.of}\n`);
}
