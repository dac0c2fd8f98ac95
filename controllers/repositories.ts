// The repositories controller: packages in directories, installed, hashed, deleted, and noticed when others do so.
//
//   createRepositories({ entries, cacheFile, readPackage, onChange, log }): Repositories
//     plan(view)             pure, see repositories-plan.ts
//     act(step, signal)      rejects with TerminalError (reasons UnknownRepository, RepositoryFull, Duplicate, BadPackage,
//                            WrongPackage, SourceMissing, SizeMismatch, DigestMismatch) or an error of the file system
//     observe()              looks at every directory again; for the start. Packages by container name, highest version first
//     current()              what is known without looking: after an act, or when onChange was called
//     setRepositories(map)   other repositories from now on; resolves with the names of containers concerned
//     installStream(...)     the same as an install step, from a stream; resolves with name:version
//     close()                ends the watches and finishes the cache file
// onChange(names) is called when files came or went by themselves: names of containers, [] = only a repository's own state.
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import { fsyncDirectory } from '../native/file.ts';
import type { RepositoryEntry } from '../state/desired.ts';
import type { ObservedPackage, ObservedRepository } from '../state/observed.ts';
import { matches, parseRequirement, parseVersion } from '../state/version.ts';
import type { Controller } from './controller.ts';
import { TerminalError } from './failure.ts';
import { openPackageCache } from './package-cache.ts';
import { indexPackages } from './package-index.ts';
import { planRepositories, type InstallStep, type RepositoryStep } from './repositories-plan.ts';
import {
  openRepositoryDirectory,
  type PackageContent,
  type ReadPackage,
  type RepositoryDirectory,
} from './repository-directory.ts';
import { copyIn, digestOf, openSource } from './repository-install.ts';

export interface ObservedPackages {
  readonly repositories: ReadonlyMap<string, ObservedRepository>;
  /** By container name, highest version first. */
  readonly packages: ReadonlyMap<string, readonly ObservedPackage[]>;
}

export interface Repositories extends Controller<RepositoryStep> {
  observe(): Promise<ObservedPackages>;
  current(): ObservedPackages;
  setRepositories(entries: ReadonlyMap<string, RepositoryEntry>): Promise<readonly string[]>;
  installStream(repository: string, size: number, bytes: Readable, signal?: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

export interface RepositoriesOptions {
  readonly entries: ReadonlyMap<string, RepositoryEntry>;
  readonly cacheFile: string;
  readonly readPackage: ReadPackage;
  readonly onChange: (names: readonly string[]) => void;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
}

interface Repository {
  readonly entry: RepositoryEntry;
  readonly directory: RepositoryDirectory;
}

/** Opens the repositories and watches them; nothing is read before the first `observe`. */
export function createRepositories(options: RepositoriesOptions): Repositories {
  const { readPackage, onChange, log } = options;
  const cache = openPackageCache(options.cacheFile, log);
  const open = new Map<string, Repository>();
  /** Installs that are past their checks and not yet seen in the directory, so that two cannot pass them together. */
  const admitted = new Set<{ readonly id: string; readonly repository: string; readonly size: number }>();

  let index: ReturnType<typeof indexPackages> | null = null;
  const reported = new Set<string>();

  function current(): ObservedPackages {
    if (index !== null) return index;
    index = indexPackages([...open.values()].map(({ directory }) => directory));
    for (const duplicate of index.duplicates) {
      if (reported.has(duplicate)) continue;
      reported.add(duplicate);
      log.warn({ duplicate }, 'a container is installed twice, only the first is used');
    }
    return index;
  }

  function changed(): void {
    index = null;
    cache.keep([...open.values()].flatMap(({ directory }) => directory.packages()));
  }

  function openOne(entry: RepositoryEntry): Repository {
    const { id, dir } = entry;
    const told = (names: readonly string[]) => {
      changed();
      onChange(names);
    };
    const from = (directory: string) => ({ id, directory, cache, readPackage, onChange: told, log });
    const repository = { entry, directory: dir === null ? unreadable(entry) : openRepositoryDirectory(from(dir)) };
    open.set(id, repository);
    return repository;
  }

  async function observe(): Promise<ObservedPackages> {
    await Promise.all([...open.values()].map(({ directory }) => directory.scan()));
    changed();
    return current();
  }

  async function setRepositories(entries: ReadonlyMap<string, RepositoryEntry>): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const [id, { entry, directory }] of open) {
      const next = entries.get(id);
      if (next !== undefined && next.type === entry.type && next.dir === entry.dir) {
        open.set(id, { entry: next, directory });
        continue;
      }
      for (const { name } of directory.packages()) names.add(name);
      directory.close();
      open.delete(id);
    }
    const added = [...entries.values()].filter(({ id }) => !open.has(id)).map(openOne);
    const found = await Promise.all(added.map(({ directory }) => directory.scan()));
    changed();
    return [...new Set([...names, ...found.flat()])];
  }

  function repositoryOf(id: string): Repository {
    const repository = open.get(id);
    if (repository?.entry.dir) return repository;
    const reason = repository === undefined ? 'there is no such repository' : repository.directory.observed().error;
    throw new TerminalError('UnknownRepository', `repository ${id}: ${reason}`);
  }

  /** Capacity and duplicates; `id` is null before the package's own name is known. */
  function checkRoom({ entry, directory }: Repository, size: number, id: string | null): void {
    const { packages, size: used } = directory.observed();
    const coming = [...admitted].filter(({ repository }) => repository === entry.id);
    const bytes = coming.reduce((sum, install) => sum + install.size, used + size);
    const { containers: most, size: largest } = entry.capacity;
    const full = (limit: string) => new TerminalError('RepositoryFull', `repository ${entry.id} is full: ${limit}`);
    if (most !== null && packages + coming.length >= most) throw full(`it may hold ${most} packages`);
    if (largest !== null && bytes > largest) throw full(`it may hold ${largest} bytes`);
    const [holder] = [...open.values()].filter((one) => one.directory.packages().some((found) => found.id === id));
    const twice = holder?.entry.id ?? [...admitted].find((install) => install.id === id)?.repository;
    if (twice === undefined) return;
    const reason = twice === entry.id ? 'AlreadyInstalled' : 'Duplicate';
    throw new TerminalError(reason, `${id} is installed already, in repository ${twice}`);
  }

  async function install(
    repository: Repository,
    from: { size: number; bytes: AsyncIterable<Uint8Array>; digest: string | null },
    accept: (content: PackageContent) => void,
    signal: AbortSignal,
  ): Promise<string> {
    const { entry, directory } = repository;
    checkRoom(repository, from.size, null);
    let admission = { id: '', repository: entry.id, size: from.size };
    const admit = (content: PackageContent) => {
      accept(content);
      const id = `${content.name}:${content.version}`;
      checkRoom(repository, from.size, id);
      const path = join(entry.dir ?? '', `${id}.npk`);
      if (directory.packages().some((other) => other.path === path)) {
        throw new TerminalError('AlreadyInstalled', `${path} exists and holds another package`);
      }
      admission = { ...admission, id };
      admitted.add(admission);
      return path;
    };
    try {
      const copied = await copyIn({ ...from, directory: entry.dir ?? '', readPackage: readNew, admit, signal });
      const { content, path, identity, digest } = copied;
      const { name, version, manifest, image } = content;
      const id = `${name}:${version}`;
      cache.add({ id, name, version, repository: entry.id, path, manifest, image, identity, digest });
      await directory.look(path);
      changed();
      return id;
    } finally {
      admitted.delete(admission);
    }
  }

  async function readNew(path: string): Promise<PackageContent> {
    try {
      return await readPackage(path);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new TerminalError('BadPackage', `not a package: ${reason}`, { cause: error });
    }
  }

  async function installFromSource(step: InstallStep, signal: AbortSignal): Promise<void> {
    const repository = repositoryOf(step.repository);
    const accept = ({ name, version }: PackageContent) => {
      if (name === step.name && fits(step.version, version)) return;
      const asked = `${step.name} ${step.version ?? ''}`.trimEnd();
      throw new TerminalError('WrongPackage', `source ${step.source}: holds ${name} ${version}, not ${asked}`);
    };
    const source = await openSource(step.source);
    try {
      const id = await install(repository, { ...source, digest: step.digest }, accept, signal);
      log.info({ container: id, repository: step.repository }, 'package installed');
    } finally {
      await source.close();
    }
  }

  async function findDigest(id: string, path: string, signal: AbortSignal): Promise<void> {
    const found = [...current().packages.values()].flat().find((one) => one.path === path && one.id === id);
    if (found === undefined) return;
    cache.add({ ...found, digest: await digestOf(path, signal) });
    await repositoryOf(found.repository).directory.look(path);
    changed();
  }

  async function uninstall(id: string, path: string): Promise<void> {
    const found = [...open.values()].find((one) =>
      one.directory.packages().some((p) => p.path === path && p.id === id),
    );
    if (found === undefined) return;
    await rm(path, { force: true });
    await fsyncDirectory(dirname(path));
    await found.directory.look(path);
    changed();
    log.info({ container: id, repository: found.entry.id }, 'package deleted');
  }

  for (const entry of options.entries.values()) openOne(entry);

  return {
    plan: (view) => planRepositories(view, [...open.keys()][0] ?? null),
    async act(step, signal) {
      if (step.op === 'install') await installFromSource(step, signal);
      else if (step.op === 'digest') await findDigest(step.id, step.path, signal);
      else await uninstall(step.id, step.path);
    },
    observe,
    current,
    setRepositories,
    async installStream(id, size, bytes, signal = new AbortController().signal) {
      // It may break before it is read: the error is kept, and whoever reads gets it.
      bytes.on('error', () => undefined);
      return install(repositoryOf(id), { size, bytes, digest: null }, () => undefined, signal);
    },
    async close() {
      for (const { directory } of open.values()) directory.close();
      await cache.written();
    },
  };
}

/** Whether a version is the one, or meets the requirement, that an entry has; null = any. */
function fits(asked: string | null, version: string): boolean {
  if (asked === null) return true;
  return /^\d+\.\d+\.\d+$/.test(asked) ? parseVersion(asked) === version : matches(parseRequirement(asked), version);
}

/** A repository of a type that holds nothing here. */
function unreadable({ id, type }: RepositoryEntry): RepositoryDirectory {
  const error = `type ${type} is not supported, use fs with a dir`;
  return {
    scan: () => Promise.resolve([]),
    look: () => Promise.resolve(),
    packages: () => [],
    observed: () => ({ id, type, dir: null, packages: 0, size: 0, broken: [], error }),
    close: () => undefined,
  };
}
