// A repository of type fs: the packages in a directory, kept up to date as files come, change and go.
import { statSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { fsyncDirectory, identityOf, sameIdentity } from '../../native/file.ts';
import type { RepositoryEntry } from '../../state/desired.ts';
import { watchDirectory } from './directory-watch.ts';
import { TerminalError } from '../failure.ts';
import type { PackageCache } from './package-cache.ts';
import {
  describeRepository,
  packageOf,
  packagesIn,
  readPackageFile,
  type OpenReader,
  type PackageFile,
  type PackageReader,
  type Repository,
} from './repository.ts';
import { copyIntoDirectory, partialPrefix, removePartials } from './repository-install.ts';

export interface RepositoryDirectoryOptions {
  readonly entry: RepositoryEntry;
  readonly directory: string;
  readonly cache: PackageCache;
  readonly openReader: OpenReader;
  /** Names of containers whose packages have changed by themselves; none when only the repository's own state has. */
  readonly onChange: (names: readonly string[]) => void;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** A file is read when nothing has happened to it for so long, in ms: a copy in place is written in many steps. */
const settleTime = 100;
/** Files read at once: each takes a descriptor and a thread. */
const readers = 16;

/** Names of containers that a change concerns, null = nothing has changed. */
type Change = readonly string[] | null;

/** Watches from the start; nothing is read before the first `scan`. */
export function openRepositoryDirectory(options: RepositoryDirectoryOptions): Repository {
  const { entry, directory, cache, openReader, onChange, log } = options;
  const files = new Map<string, PackageFile>();
  const settling = new Map<string, NodeJS.Timeout>();
  let reader: PackageReader | null = null;
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
      (reason: unknown) => log.warn({ repository: entry.id, err: reason }, 'repository not read'),
    );
  }

  function settle(fileName: string): void {
    if (fileName.startsWith(partialPrefix)) return;
    const path = join(directory, fileName);
    byItself(() => Promise.resolve(spoil(path)));
    clearTimeout(settling.get(path));
    const look = () => {
      settling.delete(path);
      byItself(() => (reader === null ? scan() : refresh(path)));
    };
    settling.set(path, setTimeout(look, settleTime));
  }

  /** A package that is being written to is none until that has come to rest: what is mounted of it is looked at now. */
  function spoil(path: string): Change {
    const before = files.get(path);
    if (before === undefined || 'broken' in before.content) return null;
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.ino !== before.identity.ino || sameIdentity(identityOf(stats), before.identity)) return null;
    files.set(path, { identity: before.identity, content: { broken: 'it is being written to' } });
    return [before.content.name];
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
  async function fileAt(path: string, before: PackageFile | null): Promise<PackageFile | null> {
    // In place: on threads, five hundred of them take ten times as long.
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined || stats.isDirectory()) return null;
    const identity = identityOf(stats);
    if (before !== null && sameIdentity(before.identity, identity)) return before;
    if (!stats.isFile()) return { identity, content: { broken: 'not a regular file' } };
    return readPackageFile(path, identity, { entry, reader: needReader(), cache });
  }

  function needReader(): PackageReader {
    if (reader === null)
      throw new TerminalError('UnknownRepository', `repository ${entry.id}: ${error ?? 'not read yet'}`);
    return reader;
  }

  async function scan(): Promise<Change> {
    if (state === 'closed') return null;
    const first = state === 'new';
    state = 'scanned';
    try {
      reader ??= await openReader(entry);
      if (first) await sweep();
      const names = (await readdir(directory)).filter((name) => !name.startsWith(partialPrefix));
      const healed = error !== null;
      error = null;
      const paths = new Set([...names.map((name) => join(directory, name)), ...files.keys()]);
      const changes = await inParallel([...paths], refresh);
      return changes.some((change) => change !== null) || healed ? changes.flatMap((change) => change ?? []) : null;
    } catch (reason) {
      return lose(reason as Error);
    }
  }

  async function sweep(): Promise<void> {
    try {
      for (const name of await removePartials(directory)) log.info({ name }, 'partial copy removed');
    } catch (reason) {
      // They are passed over anyway.
      log.warn({ repository: entry.id, err: reason }, 'partial copies not removed');
    }
  }

  function lose(reason: Error): Change {
    if (error === reason.message) return null;
    error = reason.message;
    const names = namesOf(...files.values());
    files.clear();
    log.warn({ repository: entry.id, reason: error }, 'repository cannot be read');
    return names;
  }

  async function look(path: string): Promise<void> {
    await inTurn(async () => {
      files.delete(path);
      await refresh(path);
    });
  }

  return {
    entry,
    scan: async () => (await inTurn(scan)) ?? [],
    look,
    packages: () => packagesIn(files),
    observed: () => describeRepository(entry, files, error),
    async install({ admit, ...incoming }) {
      const copied = await copyIntoDirectory({
        ...incoming,
        directory,
        reader: needReader(),
        admit(content) {
          admit(content);
          const path = join(directory, `${content.name}:${content.version}.npk`);
          const there = files.get(path);
          if (there === undefined || 'broken' in there.content) return path;
          throw new TerminalError('AlreadyInstalled', `${path} exists and holds another package`);
        },
      });
      const { content, path, identity, digest } = copied;
      const { id: repository, integrity } = entry;
      const found = packageOf(content, { repository, path, identity, digest, integrity });
      cache.add(found);
      await look(path);
      return found;
    },
    async remove(path) {
      await rm(path, { force: true });
      await fsyncDirectory(directory);
      await look(path);
    },
    close() {
      state = 'closed';
      watcher.close();
      for (const timer of settling.values()) clearTimeout(timer);
    },
  };
}

function namesOf(...files: readonly (PackageFile | null)[]): string[] {
  return files.flatMap((file) => (file !== null && 'name' in file.content ? [file.content.name] : []));
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
