// A repository of type mem: packages in sealed files in memory, until the launcher ends.
import { closeSync } from 'node:fs';
import type { RepositoryEntry } from '../../state/desired.ts';
import { errnoOf, isMissing, messageOf } from '../../state/errno.ts';
import { createRetry } from '../../state/retry.ts';
import { createKeyWatch } from './key-watch.ts';
import type { Stand } from '../../state/standing.ts';
import type { MemoryFiles } from './memory-files.ts';
import type { PackageCache } from './package-cache.ts';
import {
  describeRepository,
  packageOf,
  packagesIn,
  readPackageFile,
  type OpenReader,
  type PackageFile,
  type Repository,
} from './repository.ts';
import { copyIntoMemory } from './repository-install.ts';

/** Nothing is read before the first `scan`. What an earlier reconciler has left is there again. */
export function openRepositoryMemory({
  entry,
  memory,
  cache,
  openReader,
  onChange,
  stand,
}: {
  readonly entry: RepositoryEntry;
  readonly memory: MemoryFiles;
  readonly cache: PackageCache;
  readonly openReader: OpenReader;
  /** Names of containers whose packages could be read after all. */
  readonly onChange: (names: readonly string[]) => void;
  readonly stand: Stand;
}): Repository {
  const { id, integrity } = entry;
  const files = new Map<string, PackageFile>();
  let error: string | null = null;

  const readAgain = (): void => void scan().then(onChange);
  const again = createRetry(readAgain);
  const keys = createKeyWatch(entry.keys, {
    changed: readAgain,
    blind: (why) => stand('NotWatched', entry.keys.join(', '), why),
    failed: again.failed,
  });

  const fileAt = (path: string) => memory.of(id).find((file) => file.path === path);

  async function look(path: string): Promise<void> {
    const file = fileAt(path);
    if (file === undefined) files.delete(path);
    else files.set(path, await readPackageFile(path, file.identity, { entry, reader: await openReader(entry), cache }));
  }

  /** A key that cannot be read is read again; what was known of the files counts. */
  async function scan(): Promise<readonly string[]> {
    try {
      await Promise.all(memory.of(id).map(({ path }) => look(path)));
      error = null;
      again.over();
      keys.over();
    } catch (reason) {
      error = messageOf(reason);
      if (errnoOf(reason) === null || isMissing(reason)) keys.begin();
      else again.failed();
    }
    return packagesIn(files).map(({ name }) => name);
  }

  return {
    entry,
    scan,
    look,
    packages: () => packagesIn(files),
    observed: () => describeRepository(entry, files, { error, stale: error !== null, unread: new Map() }),
    follow: () => undefined,
    async install(incoming) {
      const reader = await openReader(entry);
      const { fd, content, digest, identity, path } = await copyIntoMemory({
        ...incoming,
        reader,
        name: `northstate ${id}`,
      });
      try {
        await memory.add(id, fd);
      } catch (reason) {
        closeSync(fd);
        throw reason;
      }
      const found = packageOf(content, { repository: id, path, identity, digest, integrity });
      cache.add(found);
      files.set(path, { identity, content: found });
      return found;
    },
    async remove(path) {
      const file = fileAt(path);
      files.delete(path);
      if (file !== undefined) await memory.remove(file);
    },
    close() {
      again.over();
      keys.over();
    },
  };
}
