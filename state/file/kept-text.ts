// One text of the runtime's own in a file: replaced as a whole, on the disk or until the boot ends.
import { promises } from 'node:fs';
import { dirname } from 'node:path';
import { ifMissing } from '../errno.ts';
import { makeDirectory, readText } from './in-place.ts';
import { prepareFile, syncDirectory, writeAtomically } from './write-file.ts';

/** Every function rejects with the errno. */
export interface KeptText {
  readonly path: string;
  /** Null: there is none. */
  read(): Promise<string | null>;
  write(text: string): Promise<void>;
  remove(): Promise<void>;
}

/** What it does survives a power cut when it has resolved. */
export function lastingText(path: string): KeptText {
  return {
    path,
    read: () => readText(path).catch(ifMissing),
    async write(text) {
      await makeDirectory(dirname(path), 0o700);
      await (await prepareFile(path, text)).commit();
    },
    async remove() {
      await promises.unlink(path).catch(ifMissing);
      await syncDirectory(dirname(path)).catch(ifMissing);
    },
  };
}

/** The same without the waits for the disk, for a tmpfs. */
export function passingText(path: string): KeptText {
  return {
    path,
    read: () => readText(path).catch(ifMissing),
    async write(text) {
      await makeDirectory(dirname(path), 0o700);
      await writeAtomically(path, text);
    },
    async remove() {
      await promises.unlink(path).catch(ifMissing);
    },
  };
}
