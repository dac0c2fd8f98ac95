// Parsed packages by file identity, kept in runDir (a tmpfs): a reconciler that starts again parses nothing.
import { existsSync, promises, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { Logger } from 'pino';
import { sameIdentity } from '../../native/file.ts';
import type { FileIdentity, ObservedPackage } from '../../state/observed.ts';
import { messageOf } from '../../state/errno.ts';

/** Raise it whenever the meaning of what is kept changes. */
const format = 4;

export interface PackageCache {
  /** The package at a path, if the file is still the one that was read. */
  find(path: string, identity: FileIdentity): ObservedPackage | null;
  /** What was read of the files in a directory, whatever has become of them since. */
  below(directory: string): readonly ObservedPackage[];
  /** Adds what an act knows of a file that it has just made or read. */
  add(found: ObservedPackage): void;
  /** Keeps these packages and no others. Calls in quick succession write the file once. */
  keep(packages: readonly ObservedPackage[]): void;
  /** Writes the file again when it was deleted. */
  restore(): void;
  /** Resolves when everything is written. */
  written(): Promise<void>;
}

/** Opens the cache file. One that is missing or unreadable is an empty cache: everything in it can be read again. */
export function openPackageCache(file: string, log: Pick<Logger, 'debug' | 'warn'>): PackageCache {
  const stored = load(file, log);
  let known = stored ?? new Map<string, ObservedPackage>();
  /** The file does not say all of it. */
  let lacks = stored === null;
  let unwritten = false;
  let writing: Promise<void> | null = null;

  async function write(): Promise<void> {
    while (unwritten) {
      unwritten = false;
      try {
        await promises.writeFile(`${file}.part`, serialize({ format, packages: [...known.values()] }), { mode: 0o600 });
        await promises.rename(`${file}.part`, file);
      } catch (error) {
        log.warn({ file, err: error }, 'package cache not written');
      }
    }
    writing = null;
  }

  /** Whether these are what the file says already, or is about to. */
  function isKept(packages: readonly ObservedPackage[]): boolean {
    return !lacks && known.size === packages.length && packages.every((found) => known.get(found.path) === found);
  }

  return {
    find(path, identity) {
      const found = known.get(path);
      return found !== undefined && sameIdentity(found.identity, identity) ? found : null;
    },
    below: (directory) => [...known.values()].filter(({ path }) => dirname(path) === directory),
    add(found) {
      known.set(found.path, found);
      lacks = true;
    },
    keep(packages) {
      if (isKept(packages)) return;
      known = byPath(packages);
      lacks = false;
      unwritten = true;
      writing ??= write();
    },
    restore() {
      if (existsSync(file)) return;
      unwritten = true;
      writing ??= write();
    },
    async written() {
      await writing;
    },
  };
}

function load(file: string, log: Pick<Logger, 'debug'>): Map<string, ObservedPackage> | null {
  try {
    const kept = deserialize(readFileSync(file)) as { format?: unknown; packages: readonly ObservedPackage[] };
    if (kept.format === format) return byPath(kept.packages);
  } catch (error) {
    log.debug({ file, reason: messageOf(error) }, 'no package cache');
  }
  return null;
}

function byPath(packages: readonly ObservedPackage[]): Map<string, ObservedPackage> {
  return new Map(packages.map((found) => [found.path, found]));
}
