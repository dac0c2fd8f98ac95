// One repository of type fs: the packages in a directory, kept up to date as files come, change and go.
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { identityOf, sameIdentity } from '../native/file.ts';
import type { FileIdentity, ObservedPackage, ObservedRepository } from '../state/observed.ts';
import { watchDirectory } from './directory-watch.ts';
import type { PackageCache } from './package-cache.ts';
import { partialPrefix, removePartials } from './repository-install.ts';

/** What a reader of package files gives of one. */
export type PackageContent = Pick<ObservedPackage, 'name' | 'version' | 'manifest' | 'image'>;
export type ReadPackage = (path: string) => Promise<PackageContent>;

export interface RepositoryDirectory {
  /** Looks at every file and reads those that have changed. Gives the names of containers concerned. */
  scan(): Promise<readonly string[]>;
  /** Looks at one file, also when it seems not to have changed: an act was here. */
  look(path: string): Promise<void>;
  packages(): readonly ObservedPackage[];
  observed(): ObservedRepository;
  close(): void;
}

export interface RepositoryDirectoryOptions {
  readonly id: string;
  readonly directory: string;
  readonly cache: PackageCache;
  readonly readPackage: ReadPackage;
  /** Names of containers whose packages have changed by themselves; none when only the repository's own state has. */
  readonly onChange: (names: readonly string[]) => void;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** A file is read when nothing has happened to it for so long, in ms: a copy in place is written in many steps. */
const settleTime = 100;
/** Files read at once: each takes a descriptor and a thread. */
const readers = 16;

interface File {
  readonly identity: FileIdentity;
  readonly content: ObservedPackage | { readonly broken: string };
}

/** Names of containers that a change concerns, null = nothing has changed. */
type Change = readonly string[] | null;

/** Watches from the start; nothing is read before the first `scan`. */
export function openRepositoryDirectory(options: RepositoryDirectoryOptions): RepositoryDirectory {
  const { id, directory, cache, readPackage, onChange, log } = options;
  const files = new Map<string, File>();
  const settling = new Map<string, NodeJS.Timeout>();
  let error: string | null = null;
  let state: 'new' | 'scanned' | 'closed' = 'new';

  const watcher = watchDirectory(directory, {
    appeared: () => byItself(scan),
    changed: settle,
    gone: (reason) => byItself(() => Promise.resolve(lose(reason))),
  });

  /** One look at a time, or an old one could overwrite a newer. */
  let turn: Promise<unknown> = Promise.resolve();
  function inTurn<T>(look: () => Promise<T>): Promise<T> {
    const result = turn.then(look);
    turn = result.catch(() => undefined);
    return result;
  }

  /** Everything that nobody asked for ends here: what changed is told, what failed is logged. */
  function byItself(look: () => Promise<Change>): void {
    if (state !== 'scanned') return;
    inTurn(look).then(
      (change) => change !== null && state !== 'closed' && onChange(change),
      (reason: unknown) => log.warn({ repository: id, err: reason }, 'repository not read'),
    );
  }

  function settle(fileName: string): void {
    if (fileName.startsWith(partialPrefix)) return;
    const path = join(directory, fileName);
    clearTimeout(settling.get(path));
    const look = () => {
      settling.delete(path);
      byItself(() => refresh(path));
    };
    settling.set(path, setTimeout(look, settleTime));
  }

  async function refresh(path: string): Promise<Change> {
    const before = files.get(path) ?? null;
    const after = await fileAt(path, before);
    if (after === before) return null;
    if (after === null) files.delete(path);
    else files.set(path, after);
    if (after !== null && 'broken' in after.content) log.warn({ path, reason: after.content.broken }, 'not a package');
    return namesOf(before, after);
  }

  /** The file as it is now: the very same object when nothing has changed, null when there is none. */
  async function fileAt(path: string, before: File | null): Promise<File | null> {
    // In place: on threads, five hundred of them take ten times as long.
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined || stats.isDirectory()) return null;
    const identity = identityOf(stats);
    if (before !== null && sameIdentity(before.identity, identity)) return before;
    if (!stats.isFile()) return { identity, content: { broken: 'not a regular file' } };
    const known = cache.find(path, identity);
    return { identity, content: known === null ? await read(path, identity) : { ...known, repository: id } };
  }

  async function read(path: string, identity: FileIdentity): Promise<File['content']> {
    try {
      const { name, version, manifest, image } = await readPackage(path);
      const now = identityOf(statSync(path));
      if (!sameIdentity(now, identity)) return { broken: 'changed while it was being read' };
      return { id: `${name}:${version}`, name, version, repository: id, path, manifest, image, identity, digest: null };
    } catch (reason) {
      return { broken: reason instanceof Error ? reason.message : String(reason) };
    }
  }

  async function scan(): Promise<Change> {
    if (state === 'closed') return null;
    try {
      if (state === 'new')
        for (const name of await removePartials(directory)) log.info({ name }, 'partial copy removed');
      state = 'scanned';
      const names = (await readdir(directory)).filter((name) => !name.startsWith(partialPrefix));
      const healed = error !== null;
      error = null;
      const paths = new Set([...names.map((name) => join(directory, name)), ...files.keys()]);
      const changes = await inParallel([...paths], refresh);
      return changes.some((change) => change !== null) || healed ? changes.flatMap((change) => change ?? []) : null;
    } catch (reason) {
      state = 'scanned';
      return lose(reason as Error);
    }
  }

  function lose(reason: Error): Change {
    if (error === reason.message) return null;
    error = reason.message;
    const names = namesOf(...files.values());
    files.clear();
    log.warn({ repository: id, reason: error }, 'repository cannot be read');
    return names;
  }

  return {
    scan: async () => (await inTurn(scan)) ?? [],
    look: async (path) => {
      await inTurn(async () => {
        files.delete(path);
        await refresh(path);
      });
    },
    packages: () => [...files.values()].map(({ content }) => content).filter((content) => 'id' in content),
    observed: () => describe(id, directory, files, error),
    close() {
      state = 'closed';
      watcher.close();
      for (const timer of settling.values()) clearTimeout(timer);
    },
  };
}

function namesOf(...files: readonly (File | null)[]): string[] {
  return files.flatMap((file) => (file !== null && 'name' in file.content ? [file.content.name] : []));
}

function describe(id: string, dir: string, files: ReadonlyMap<string, File>, error: string | null): ObservedRepository {
  const packages = [...files.values()].filter(({ content }) => 'id' in content);
  const broken = [...files].flatMap(([path, { content }]) =>
    'broken' in content ? [{ path, message: `${basename(path)}: ${content.broken}` }] : [],
  );
  const size = packages.reduce((sum, { identity }) => sum + identity.size, 0);
  return { id, type: 'fs', dir, packages: packages.length, size, broken, error };
}

/** The results come in any order. */
async function inParallel<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const queue = items.values();
  const results: R[] = [];
  const worker = async () => {
    for (const item of queue) results.push(await task(item));
  };
  await Promise.all(Array.from({ length: readers }, worker));
  return results;
}
