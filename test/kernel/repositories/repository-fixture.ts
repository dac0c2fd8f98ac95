// Repositories in a directory of their own, for one test; whatever the test did, nothing of it is left.
import assert from 'node:assert/strict';
import { closeSync, watch } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach } from 'node:test';
import { pino } from 'pino';
import { createMemoryFiles } from '../../../controllers/repositories/memory-files.ts';
import { createRepositories, type Repositories } from '../../../controllers/repositories/repositories.ts';
import type { InstallStep } from '../../../controllers/repositories/repositories-plan.ts';
import type { OpenReader } from '../../../controllers/repositories/repository.ts';
import { createPackages } from '../../../controllers/repositories/package-reader.ts';
import { defaultFetchSettings } from '../../../src/fetch/fetch-settings.ts';
import { createRemotes } from '../../../src/fetch/remotes.ts';
import type { RepositoryEntry } from '../../../state/desired.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { enterMountNamespace } from '../../support/namespace.ts';
import { patience } from '../../support/patience.ts';
import { probePackage } from '../../support/packages.ts';

enterMountNamespace();
// All watches of a process share one inotify descriptor, which stays: it is opened before any are counted.
watch(tmpdir()).close();

const { signal } = new AbortController();
export const { openReader } = createPackages();
export const one = await probePackage({ name: 'app' });
export const two = await probePackage({ name: 'app', version: '2.0.0' });
export const other = await probePackage({ name: 'other' });
/** Bytes of `one`. */
export const size = (await readFile(one)).length;

/** What the present test has. */
export interface Fixture {
  readonly directory: string;
  /** The directory of the repository `system`. */
  readonly system: string;
  readonly repositories: Repositories;
  /** Names of the files that were read. */
  readonly reads: readonly string[];
  /** Lines of the log. */
  readonly warnings: readonly string[];
  /** What a listener was told. */
  readonly changes: readonly (readonly string[])[];
  /** Why, by type and subject. */
  readonly conditions: ReadonlyMap<string, string>;
  /** Descriptors that the launcher would keep, by name. */
  readonly kept: Map<string, number>;
}

export let fixture: Fixture;
let before: Set<string>;
let changed: () => void;

beforeEach(async () => {
  before = openDescriptors();
  const directory = await mkdtemp(join(tmpdir(), 'northstate-repositories-'));
  const system = join(directory, 'system');
  await mkdir(system);
  fixture = { ...fixtureOf(directory, new Map()), system };
});

afterEach(async () => {
  await fixture.repositories.close();
  for (const fd of fixture.kept.values()) closeSync(fd);
  assert.deepEqual(await leftovers(basename(fixture.directory), before), []);
  await rm(fixture.directory, { recursive: true });
});

function fixtureOf(directory: string, kept: Map<string, number>, ...entries: readonly RepositoryEntry[]): Fixture {
  const reads: string[] = [];
  const warnings: string[] = [];
  const changes: string[][] = [];
  const conditions = new Map<string, string>();
  changed = () => undefined;
  const counting: OpenReader = async (entry) => {
    const reader = await openReader(entry);
    return {
      ...reader,
      read(path) {
        reads.push(basename(path));
        return reader.read(path);
      },
    };
  };
  const keeper = {
    keep: async (name: string, fd: number) => void kept.set(name, fd),
    drop: async (name: string) => void kept.delete(name),
  };
  const repositories = createRepositories({
    entries: new Map(entries.map((each) => [each.id, each])),
    cacheFile: join(directory, 'cache'),
    contents: null,
    openReader: counting,
    memory: createMemoryFiles(keeper, kept),
    openRemote: createRemotes(defaultFetchSettings),
    stand(type, subject, message) {
      const key = `${type} ${subject}`;
      if (message === null) conditions.delete(key);
      else conditions.set(key, message);
      changed();
    },
    log: pino({ level: 'warn' }, { write: (line) => void warnings.push(line) }),
  });
  repositories.onChange((names) => {
    changes.push([...names]);
    changed();
  });
  return { directory, system: join(directory, 'system'), repositories, reads, warnings, changes, conditions, kept };
}

/** An entry of the document; that of `mem` when its type says so. */
export function entry(id: string, fields: Partial<RepositoryEntry> = {}): RepositoryEntry {
  const capacity = { containers: null, size: null };
  const dir = fields.type === 'mem' ? null : join(fixture.directory, id);
  return { id, type: 'fs', dir, keys: [], mountOnStart: false, capacity, integrity: 'none', ...fields };
}

/** Opens the repositories, as the next reconciler would, and reads them once. */
export async function openAll(...entries: readonly RepositoryEntry[]): Promise<void> {
  fixture = fixtureOf(fixture.directory, fixture.kept, ...entries);
  await fixture.repositories.observe();
}

/** Resolves when the repositories have noticed something and it holds. */
export async function noticed(holds: () => boolean): Promise<void> {
  if (holds()) return;
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`not noticed: ${JSON.stringify(fixture.changes)}`)), patience);
    changed = () => {
      if (!holds()) return;
      clearTimeout(late);
      resolve();
    };
  });
}

/** All packages that are installed. */
export function installedPackages() {
  return [...fixture.repositories.current().packages.values()].flat();
}

/** What is installed: name:version, by repository. */
export function installed(): string[] {
  return installedPackages()
    .map(({ id, repository }) => `${id} in ${repository}`)
    .sort();
}

/** What is no package, and why: by the file's name. */
export function broken(): Map<string, string> {
  const all = [...fixture.repositories.current().repositories.values()].flatMap((each) => each.broken);
  return new Map(all.map(({ path, message }) => [basename(path), message]));
}

/** Performs an install step of `app` into `system`. */
export function install(source: string, fields: Partial<InstallStep> = {}): Promise<void> {
  const step = { source, repository: 'system', digest: null, version: null, unwanted: [], waits: null, ...fields };
  return fixture.repositories.act({ op: 'install', name: 'app', ...step }, signal);
}

/** Performs the step that deletes a package. */
export function uninstall(id: string, path: string): Promise<void> {
  return fixture.repositories.act({ op: 'uninstall', name: id.split(':')[0] ?? '', id, path, waits: null }, signal);
}

/** Performs the step that finds out a digest. */
export function findDigest(id: string, path: string): Promise<void> {
  return fixture.repositories.act({ op: 'digest', name: id.split(':')[0] ?? '', id, path, waits: null }, signal);
}
