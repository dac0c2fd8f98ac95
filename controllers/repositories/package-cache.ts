// Parsed packages by file identity, kept in runDir (a tmpfs): a reconciler that starts again parses nothing.
import { existsSync, promises, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { Logger } from 'pino';
import { sameIdentity } from '../../native/file.ts';
import type { FileIdentity, ObservedPackage } from '../../state/observed.ts';
import { messageOf } from '../../state/errno.ts';

/** Raise it whenever the meaning of what is kept changes. */
const format = 5;

/** What the file holds. `earlier`: it was read in another boot, in which devices may have had other numbers. */
interface Kept {
  readonly format: number;
  readonly earlier: boolean;
  readonly packages: readonly ObservedPackage[];
}

/** The packages as the file of another boot has them. */
export function keptPackages(packages: ReadonlyMap<string, readonly ObservedPackage[]>): Kept {
  return { format, earlier: true, packages: [...packages.values()].flat() };
}

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
  /** Read in another boot, and not looked at in this one. */
  const earlier = new Set(stored?.earlier === true ? stored.packages.map(({ path }) => path) : []);
  let known = byPath(stored?.packages ?? []);
  /** The file does not say all of it. */
  let lacks = stored === null || stored.earlier;
  let unwritten = false;
  let writing: Promise<void> | null = null;

  async function write(): Promise<void> {
    while (unwritten) {
      unwritten = false;
      try {
        const kept: Kept = { format, earlier: false, packages: [...known.values()] };
        await promises.writeFile(`${file}.part`, serialize(kept), { mode: 0o600 });
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
      if (found === undefined) return null;
      if (sameIdentity(found.identity, identity)) return found;
      const moved = earlier.has(path) && sameIdentity({ ...found.identity, dev: identity.dev }, identity);
      return moved ? { ...found, identity } : null;
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

function load(file: string, log: Pick<Logger, 'debug'>): Kept | null {
  try {
    const kept = deserialize(readFileSync(file)) as Kept;
    if (kept.format === format) return kept;
  } catch (error) {
    log.debug({ file, reason: messageOf(error) }, 'no package cache');
  }
  return null;
}

function byPath(packages: readonly ObservedPackage[]): Map<string, ObservedPackage> {
  return new Map(packages.map((found) => [found.path, found]));
}
