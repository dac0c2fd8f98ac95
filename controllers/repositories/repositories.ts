// The repositories controller: packages in directories and in memory, installed, hashed, deleted, and noticed when others do so.
//
//   createRepositories({ entries, cacheFile, contents, openReader, memory, openRemote, stand, log }): Repositories
//     plan(view)             pure, see repositories-plan.ts
//     act(step, signal)      rejects with TerminalError (reasons UnknownRepository, RepositoryFull, RepositoryReadOnly, Duplicate,
//                            BadPackage, WrongPackage, SourceMissing, SourceNotTrusted, SizeMismatch, DigestMismatch) or an error of the file system
//     observe()              looks at every repository again; for the start. Packages by container name, highest version first
//     current()              what is known without looking: after an act, or when a listener is called
//     setRepositories(map)   other repositories from now on; resolves with the names of containers concerned
//     release(isUsed)        gives back the memory of repositories that are gone; true when `current` is another one now
//     installStream(...)     the same as an install step, from a stream; resolves with name:version
//     onChange(listener)     has it told when files came or went by themselves: names of containers, [] = only a repository's
//                            own state
//     follow()               has each look whether its directory is another one now
//     close()                ends the watches and finishes the cache file
import type { Logger } from 'pino';
import type { RepositoryEntry } from '../../state/desired.ts';
import type { FileIdentity } from '../../state/observed.ts';
import type { Stand } from '../../state/standing.ts';
import { partOf, type Controller, type Part } from '../controller.ts';
import { TerminalError } from '../failure.ts';
import type { Observing, ObservedPackages } from '../observing.ts';
import type { MemoryFiles } from './memory-files.ts';
import { openPackageCache } from './package-cache.ts';
import type { PackageContents } from './package-contents.ts';
import { indexPackages } from './package-index.ts';
import { planRepositories, type RepositoryStep } from './repositories-plan.ts';
import type { OpenReader, Repository, Streamed } from './repository.ts';
import { openRepositoryDirectory } from './repository-directory.ts';
import { openRepositoryMemory } from './repository-memory.ts';
import { createSerialQueue } from '../../state/serial-queue.ts';
import { createRepositoryActs, type OpenRemote } from './repositories-act.ts';

export interface Repositories extends Controller<RepositoryStep> {
  observe(): Promise<ObservedPackages>;
  current(): ObservedPackages;
  setRepositories(entries: ReadonlyMap<string, RepositoryEntry>): Promise<readonly string[]>;
  release(isUsed: (identity: FileIdentity) => boolean): Promise<boolean>;
  installStream(repository: string, size: number, pieces: Streamed['pieces'], signal?: AbortSignal): Promise<string>;
  onChange(listener: (names: readonly string[]) => void): void;
  /** Mounts have changed: each looks whether its directory is another one now. */
  follow(): void;
  /** Writes the cache file again when it was deleted. */
  restore(): void;
  close(): Promise<void>;
}

export interface RepositoriesOptions {
  readonly entries: ReadonlyMap<string, RepositoryEntry>;
  readonly cacheFile: string;
  /** What earlier boots have read, as the reader has it; null = nothing is kept of it. */
  readonly contents: Pick<PackageContents, 'settle' | 'close'> | null;
  readonly openReader: OpenReader;
  readonly memory: MemoryFiles;
  readonly openRemote: OpenRemote;
  /** Told what holds up an installation of a name that is under way; null: nothing does. */
  readonly held?: (name: string, why: string | null) => void;
  /** Told of what the repositories cannot do at present. */
  readonly stand: Stand;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
}

/** Opens the repositories and watches them; nothing is read before the first `observe`. */
export function createRepositories(options: RepositoriesOptions): Repositories {
  const { openReader, memory, log } = options;
  const listeners: ((names: readonly string[]) => void)[] = [];
  const cache = openPackageCache(options.cacheFile, log);
  let { entries } = options;
  let open: ReadonlyMap<string, Repository> = new Map([...entries].map(([id, entry]) => [id, openOne(entry)]));
  let index: ReturnType<typeof indexPackages> | null = null;
  const reported = new Set<string>();

  function current(): ObservedPackages {
    if (index !== null) return index;
    index = indexPackages([...open.values(), ...lingering()]);
    for (const duplicate of index.duplicates) {
      if (reported.has(duplicate)) continue;
      reported.add(duplicate);
      log.warn({ duplicate }, 'a container is installed twice, only the first is used');
    }
    return index;
  }

  /** Repositories in memory that the document has no more: as long as an image of theirs is mounted. */
  function leaving(): string[] {
    return [...memory.repositories()].filter((id) => entries.get(id)?.type !== 'mem');
  }

  /** How they show: nothing new is mounted from them. */
  function lingering(): Pick<Repository, 'packages' | 'observed'>[] {
    const ids = leaving().filter((id) => !open.has(id));
    return ids.map((id) => {
      const size = memory.of(id).reduce((sum, { identity }) => sum + identity.size, 0);
      const error =
        'it is not in the document, and stays until none of its images is mounted; no others are mounted from it';
      const plain = { type: 'mem', dir: null, verified: false, integrity: 'none', broken: [], stale: false } as const;
      return { packages: () => [], observed: () => ({ id, ...plain, packages: memory.of(id).length, size, error }) };
    });
  }

  function changed(): void {
    index = null;
    const present = [...open.values()].flatMap((repository) => repository.packages());
    cache.keep(present);
    options.contents?.settle(present.length);
  }

  function told(names: readonly string[]): void {
    changed();
    for (const listener of listeners) listener(names);
  }

  function openOne(entry: RepositoryEntry): Repository {
    const { stand } = options;
    if (entry.type === 'mem') return openRepositoryMemory({ entry, memory, cache, openReader, onChange: told, stand });
    const directory = entry.dir ?? '';
    return openRepositoryDirectory({ entry, directory, cache, openReader, onChange: told, stand, log });
  }

  async function observe(): Promise<ObservedPackages> {
    await Promise.all([...open.values()].map((repository) => repository.scan()));
    changed();
    return current();
  }

  const changes = createSerialQueue();

  /** What is new has been read before it takes the place of what was there. */
  async function replace(next: ReadonlyMap<string, RepositoryEntry>): Promise<readonly string[]> {
    entries = next;
    const found = [...next].map(([id, entry]) => {
      const known = open.get(id);
      return [id, known !== undefined && isSame(known.entry, entry) ? known : openOne(entry)] as const;
    });
    const before = [...open.values()];
    const kept = new Set(found.map(([, repository]) => repository));
    const added = [...kept].filter((repository) => !before.includes(repository));
    const names = await Promise.all(added.map((repository) => repository.scan()));
    open = new Map(found);
    const gone = before.filter((repository) => !kept.has(repository));
    for (const repository of gone) repository.close();
    changed();
    const left = gone.flatMap((repository) => repository.packages().map(({ name }) => name));
    return [...new Set([...left, ...names.flat()])];
  }

  async function release(isUsed: (identity: FileIdentity) => boolean): Promise<boolean> {
    const before = leaving().length;
    if (before === 0) return false;
    await memory.release((id) => entries.get(id)?.type === 'mem', isUsed);
    index = null;
    return leaving().length < before;
  }

  /**
   * Where to install. A repository that has just come into the document is being read; of one whose directory, or key, has just
   * been made the watch has perhaps not told yet.
   */
  async function repositoryFor(id: string): Promise<Repository> {
    await changes.idle();
    const known = open.get(id);
    const before = known?.observed();
    if (known !== undefined && before !== undefined && before.error !== null && !before.stale) {
      const names = await known.scan();
      if (open.get(id) === known && known.observed().error !== before.error) told(names);
    }
    return repositoryOf(id);
  }

  function repositoryOf(id: string): Repository {
    const repository = open.get(id);
    const { error: reason = 'there is no such repository', stale = false } = repository?.observed() ?? {};
    if (repository !== undefined && reason === null) return repository;
    if (stale) throw new Error(`repository ${id} cannot be read: ${reason}`);
    throw new TerminalError('UnknownRepository', `repository ${id}: ${reason}`);
  }

  const acts = createRepositoryActs({
    repositories: () => [...open.values()],
    repositoryFor,
    capacityOf: (id) => entries.get(id)?.capacity ?? { containers: null, size: null },
    cache,
    openRemote: options.openRemote,
    held: (name, why) => options.held?.(name, why),
    changed,
    log,
  });

  return {
    plan: (view) => planRepositories(view, [...entries.keys()][0] ?? null),
    act: acts.act,
    observe,
    current,
    setRepositories: (next) => changes.run(() => replace(next)),
    release,
    async installStream(id, size, pieces, signal = new AbortController().signal) {
      return acts.install(await repositoryFor(id), { size, content: { pieces }, digest: 'unknown' }, signal);
    },
    onChange: (listener) => void listeners.push(listener),
    follow() {
      for (const repository of open.values()) repository.follow();
    },
    restore: cache.restore,
    async close() {
      for (const repository of open.values()) repository.close();
      options.contents?.close();
      await cache.written();
    },
  };
}

/** The controller as the reconciler uses it. */
export function repositoriesPart(repositories: Repositories, observing: Pick<Observing, 'packages'>): Part {
  return partOf<RepositoryStep>(repositories.plan, async (step, signal) => {
    await repositories.act(step, signal);
    observing.packages(repositories.current(), [step.name]);
  });
}

/** Whether both hold the same packages, read and mounted in the same way: a change of anything else needs no other look. */
function isSame(one: RepositoryEntry, other: RepositoryEntry): boolean {
  const parts = ({ type, dir, keys, integrity }: RepositoryEntry) => JSON.stringify([type, dir, keys, integrity]);
  return parts(one) === parts(other);
}
