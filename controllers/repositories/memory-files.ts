// Files in memory that outlive this process: the launcher keeps their descriptors, and gives them to the next reconciler.
import { randomUUID } from 'node:crypto';
import { closeSync, fstatSync } from 'node:fs';
import { identityOf } from '../../native/file.ts';
import { isSealed } from '../../native/memfd.ts';
import type { FileIdentity } from '../../state/observed.ts';
import { TerminalError } from '../failure.ts';

/** What is needed of the launcher. */
export interface Keeper {
  keep(name: string, fd: number): Promise<void>;
  drop(name: string): Promise<void>;
}

export interface MemoryFile {
  /** The launcher's name for it: `mem REPOSITORY UNIQUE`. */
  readonly name: string;
  readonly repository: string;
  readonly fd: number;
  /** Opens it, in this process. */
  readonly path: string;
  readonly identity: FileIdentity;
}

export interface MemoryFiles {
  /** The files of a repository. */
  of(repository: string): readonly MemoryFile[];
  /** Has a sealed file outlive this process; its descriptor is ours from now on. Rejects with what the launcher says. */
  add(repository: string, fd: number): Promise<MemoryFile>;
  remove(file: MemoryFile): Promise<void>;
  /** Gives back the memory of repositories that are not `wanted`, unless a file of them is in use. */
  release(wanted: (repository: string) => boolean, isUsed: (identity: FileIdentity) => boolean): Promise<void>;
  /** Repositories that have files. */
  repositories(): ReadonlySet<string>;
}

const prefix = 'mem ';
/** The launcher's names have 1024 bytes at most. */
const longestRepository = 900;

/** `kept`: all descriptors that the launcher has kept, by name; those of others are left alone. */
export function createMemoryFiles(keeper: Keeper, kept: ReadonlyMap<string, number>): MemoryFiles {
  const files = new Set<MemoryFile>();
  for (const [name, fd] of kept) if (name.startsWith(prefix) && isSealed(fd)) files.add(fileOf(name, fd));

  const of = (repository: string) => [...files].filter((file) => file.repository === repository);

  async function remove(file: MemoryFile): Promise<void> {
    if (!files.delete(file)) return;
    await keeper.drop(file.name);
    closeSync(file.fd);
  }

  return {
    of,
    async add(repository, fd) {
      if (repository.length > longestRepository) {
        throw new TerminalError(
          'BadName',
          `repository ${repository}: in memory, a name has ${longestRepository} characters at most`,
        );
      }
      const file = fileOf(`${prefix}${repository} ${randomUUID()}`, fd);
      await keeper.keep(file.name, fd);
      files.add(file);
      return file;
    },
    remove,
    async release(wanted, isUsed) {
      const left = Map.groupBy(files, ({ repository }) => repository);
      for (const [repository, own] of left) {
        if (wanted(repository) || own.some(({ identity }) => isUsed(identity))) continue;
        await Promise.all(own.map(remove));
      }
    },
    repositories: () => new Set([...files].map(({ repository }) => repository)),
  };
}

function fileOf(name: string, fd: number): MemoryFile {
  const [, repository = ''] = name.split(' ');
  return { name, repository, fd, path: `/proc/self/fd/${fd}`, identity: identityOf(fstatSync(fd)) };
}
