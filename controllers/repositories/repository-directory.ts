// A repository of type fs: the packages in a directory, kept up to date as files come, change and go.
import { promises, statSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { fsyncDirectory, identityOf, sameIdentity } from '../../native/file.ts';
import type { RepositoryEntry } from '../../state/desired.ts';
import { errnoOf, isMissing, messageOf } from '../../state/errno.ts';
import { readdir } from '../../state/file/in-place.ts';
import { createRetry } from '../../state/retry.ts';
import type { Stand } from '../../state/standing.ts';
import { watchDirectory } from '../../state/file/directory-watch.ts';
import { TerminalError } from '../failure.ts';
import { createKeyWatch } from './key-watch.ts';
import type { PackageCache } from './package-cache.ts';
import {
  describeRepository,
  keptPackage,
  packageOf,
  packagesIn,
  readPackageFile,
  withForeign,
  type OpenReader,
  type PackageFile,
  type PackageReader,
  type Repository,
} from './repository.ts';
import { partialPrefix, removePartials } from './partial-file.ts';
import { copyIntoDirectory } from './repository-install.ts';
import { createSerialQueue } from '../../state/serial-queue.ts';

export interface RepositoryDirectoryOptions {
  readonly entry: RepositoryEntry;
  readonly directory: string;
  readonly cache: PackageCache;
  readonly openReader: OpenReader;
  /** Names of containers whose packages have changed by themselves; none when only the repository's own state has. */
  readonly onChange: (names: readonly string[]) => void;
  readonly stand: Stand;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** A file is read when nothing has happened to it for so long, in ms: a copy in place is written in many steps. */
const settleTime = 100;
/** Files read at once: each takes a descriptor and a thread. */
const readers = 16;

/** Names of containers that a change concerns, null = nothing has changed. */
type ChangedNames = readonly string[] | null;

/** Watches from the start; nothing is read before the first `scan`. */
export function openRepositoryDirectory(options: RepositoryDirectoryOptions): Repository {
  const { entry, directory, cache, openReader, onChange, stand, log } = options;
  const files = new Map<string, PackageFile>();
  const settling = new Map<string, NodeJS.Timeout>();
  let reader: PackageReader | null = null;
  /** Files that cannot be read now, and why: what was known of them counts. */
  const unread = new Map<string, string>();
  let error: string | null = null;
  let stale = false;
  let swept = false;
  let state: 'new' | 'scanned' | 'closed' = 'new';

  const watcher = watchDirectory(directory, {
    appeared: () => byItself(scan),
    changed: settle,
    gone: (reason) => byItself(() => Promise.resolve(lose(reason))),
    blind: (why) => stand('NotWatched', directory, why),
  });
  const keys = createKeyWatch([...entry.keys, directory], {
    changed: () => byItself(async () => (reader === null ? await scan() : null)),
    blind: (why) => stand('NotWatched', entry.keys.join(', '), why),
    failed: (err) => log.warn({ repository: entry.id, err }, 'the keys of a repository cannot be watched'),
  });
  const again = createRetry(() => byItself(error === null ? lookAgain : scan));

  /** One look at a time, or an old one could overwrite a newer. */
  const looks = createSerialQueue();

  /** Everything that nobody asked for ends here: what changed is told, what failed is logged. */
  function byItself(look: () => Promise<ChangedNames>): void {
    if (state !== 'scanned') return;
    looks.run(look).then(
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
  function spoil(path: string): ChangedNames {
    const before = files.get(path);
    if (before === undefined || 'broken' in before.content) return null;
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.ino !== before.identity.ino || sameIdentity(identityOf(stats), before.identity)) return null;
    files.set(path, { identity: before.identity, content: { broken: 'it is being written to' } });
    return [before.content.name];
  }

  /**
   * `anew`: also when it seems to be the same; `above`: the directory, when it was looked at just now. A file that cannot be read
   * now stays what it was, and is read again.
   */
  async function refresh(path: string, anew = false, above?: Stats): Promise<ChangedNames> {
    const before = files.get(path) ?? null;
    let after: PackageFile | null;
    try {
      after = await fileAt(path, anew ? null : before, above);
    } catch (reason) {
      return defer(path, reason);
    }
    const healed = unread.delete(path);
    if (after === before) return healed ? [] : null;
    if (after === null) files.delete(path);
    else files.set(path, after);
    if (after !== null && 'broken' in after.content) log.warn({ path, reason: after.content.broken }, 'not a package');
    return namesOf(before, after);
  }

  function defer(path: string, reason: unknown): ChangedNames {
    const message = `${messageOf(reason).replace(`${path}: `, '')}; what was known of it counts, and it is read again`;
    again.failed();
    if (unread.get(path) === message) return null;
    unread.set(path, message);
    log.warn({ path, reason: messageOf(reason) }, 'a package file cannot be read');
    return [];
  }

  async function lookAgain(): Promise<ChangedNames> {
    const changes = await inParallel([...unread.keys()], (path) => refresh(path));
    if (unread.size === 0) again.over();
    return changes.some((change) => change !== null) ? changes.flatMap((change) => change ?? []) : null;
  }

  /** The file as it is now: the very same object when nothing has changed, null when there is none. */
  async function fileAt(path: string, before: PackageFile | null, above?: Stats): Promise<PackageFile | null> {
    // In place: on threads, five hundred of them take ten times as long.
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined || stats.isDirectory()) return null;
    const identity = identityOf(stats);
    if (before !== null && sameIdentity(before.identity, identity)) return before;
    if (!stats.isFile()) return { identity, content: { broken: 'not a regular file' } };
    const { keys } = needReader();
    const file = await readPackageFile(path, identity, { entry, reader: needReader(), cache });
    return withForeign(file, keys, [
      [path, stats],
      [directory, above ?? statSync(directory)],
    ]);
  }

  function needReader(): PackageReader {
    if (reader === null)
      throw new TerminalError('UnknownRepository', `repository ${entry.id}: ${error ?? 'not read yet'}`);
    return reader;
  }

  const isClosed = (): boolean => state === 'closed';

  async function scan(): Promise<ChangedNames> {
    if (isClosed()) return null;
    state = 'scanned';
    try {
      reader ??= await openReader(entry);
      keys.over();
      await sweep();
      const names = (await readdir(directory)).filter((name) => !name.startsWith(partialPrefix));
      const healed = error !== null;
      trust();
      const paths = new Set([...names.map((name) => join(directory, name)), ...files.keys()]);
      const above = statSync(directory);
      const changes = await inParallel([...paths], (path) => refresh(path, false, above));
      if (unread.size === 0) again.over();
      return changes.some((change) => change !== null) || healed ? changes.flatMap((change) => change ?? []) : null;
    } catch (reason) {
      // Nothing that was closed meanwhile is watched or read again.
      if (isClosed()) return null;
      return errnoOf(reason) === null || isMissing(reason) ? lose(reason as Error) : keep(reason as Error);
    }
  }

  /** Once. */
  async function sweep(): Promise<void> {
    if (swept) return;
    try {
      for (const name of await removePartials(directory)) log.info({ name }, 'partial copy removed');
      swept = true;
    } catch (reason) {
      // They are passed over anyway.
      log.warn({ repository: entry.id, err: reason }, 'partial copies not removed');
    }
  }

  /** There is no such directory, which is waited for, or what it takes to believe it is wrong: nothing is in it. */
  function lose(reason: Error): ChangedNames {
    if (reader === null) keys.begin();
    again.over();
    unread.clear();
    const told = error === reason.message;
    trust();
    error = reason.message;
    if (told) return null;
    const names = namesOf(...files.values());
    files.clear();
    log.warn({ repository: entry.id, reason: error }, 'repository cannot be read');
    return names;
  }

  /** What it shows now is what is there. */
  function trust(): void {
    error = null;
    stale = false;
    stand('Unreadable', directory, null);
  }

  /** It cannot be read now, which says nothing about what is there: what was known counts, and it is read again. */
  function keep(reason: Error): ChangedNames {
    again.failed();
    stale = true;
    stand('Unreadable', directory, `${reason.message}; what was known of its packages counts`);
    if (error === reason.message) return null;
    error = reason.message;
    log.warn({ repository: entry.id, reason: error }, 'repository cannot be read; what was known of it counts');
    return recall();
  }

  /** What an earlier reconciler has read, where this one has not come to it. */
  function recall(): readonly string[] {
    if (reader === null) return [];
    for (const known of cache.below(directory)) {
      const kept = files.has(known.path) ? null : keptPackage(known, entry, reader);
      if (kept !== null) files.set(known.path, kept);
    }
    return namesOf(...files.values());
  }

  async function look(path: string): Promise<void> {
    await looks.run(() => refresh(path, true));
  }

  return {
    entry,
    scan: async () => (await looks.run(scan)) ?? [],
    look,
    packages: () => packagesIn(files),
    observed: () => describeRepository(entry, files, { error, stale, unread }),
    follow: watcher.look,
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
      await promises.rm(path, { force: true });
      await fsyncDirectory(directory);
      await look(path);
    },
    close() {
      state = 'closed';
      watcher.close();
      keys.over();
      again.over();
      stand('NotWatched', directory, null);
      stand('Unreadable', directory, null);
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
