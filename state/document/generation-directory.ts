// The directory that generations lie in, by the names of its files.
import { constants, promises } from 'node:fs';
import { dirname, join } from 'node:path';
import { ifMissing, messageOf } from '../errno.ts';
import { access, lstat, makeDirectory, readText, readdir } from '../file/in-place.ts';
import { prepareFile, writeAtomically, type PreparedFile } from '../file/write-file.ts';

/** Every function but `path` and `refuses` rejects with the errno. */
export interface GenerationDirectory {
  readonly path: string;
  /** Makes the directory when it is missing. */
  names(): Promise<readonly string[]>;
  read(name: string): Promise<string>;
  /** Bytes; null: there is none of that name. */
  size(name: string): Promise<number | null>;
  /** Writes one beside its place. */
  prepare(name: string, text: string): Promise<PreparedFile>;
  rename(from: string, to: string): Promise<void>;
  /** One that is not there will do. */
  remove(name: string): Promise<void>;
  /** Why nothing can be stored; null = it can. What a crash has left half written is taken away. */
  refuses(): Promise<string | null>;
}

/** `lasting`: writes survive a power cut; else they do not wait for a disk. */
export function generationDirectory(path: string, lasting: boolean): GenerationDirectory {
  const at = (name: string): string => join(path, name);
  return {
    path,
    async names() {
      await makeDirectory(path, 0o700).catch(obstacleAbove(path));
      return await readdir(path);
    },
    read: (name) => readText(at(name)),
    async size(name) {
      return await lstat(at(name)).then(({ size }) => size, ifMissing);
    },
    async prepare(name, text) {
      if (lasting) return await prepareFile(at(name), text);
      return { commit: () => writeAtomically(at(name), text), discard: () => Promise.resolve() };
    },
    rename: (from, to) => promises.rename(at(from), at(to)),
    async remove(name) {
      await promises.unlink(at(name)).catch(ifMissing);
    },
    async refuses() {
      try {
        await access(path, constants.W_OK);
        for (const name of await readdir(path)) if (name.endsWith('.new')) await promises.unlink(at(name));
        return null;
      } catch (error) {
        return messageOf(error);
      }
    },
  };
}

/** The directory of this boot, in one in which nothing of another boot stays. */
export function bootDirectory(above: string, bootId: string): GenerationDirectory {
  const own = generationDirectory(join(above, bootId), false);
  return {
    ...own,
    async names() {
      await makeDirectory(above, 0o700);
      for (const name of await readdir(above))
        if (name !== bootId) await promises.rm(join(above, name), { recursive: true });
      return await own.names();
    },
  };
}

/** mkdir(2) through Node says ENOENT of a read-only disk: the directory above says what is in the way. */
function obstacleAbove(directory: string): (error: unknown) => Promise<never> {
  return async (error) => {
    await access(dirname(directory), constants.W_OK);
    throw error;
  };
}
