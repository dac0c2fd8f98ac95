// From the document's tree to the desired state: the schema, then what concerns several entries.
import type { z } from 'zod';
import { checkedEntry } from './checked-entry.ts';
import { check, type Problem } from './check-value.ts';
import type { Configured, ContainerEntry, Desired, RepositoryEntry } from '../desired.ts';
import { containerKey, type containerSchema, documentSchema, name, repositorySchema } from './document-schema.ts';
import { isMap, sameTree, type Tree, type TreeMap } from '../text/tree.ts';
import { problemBetween } from './between.ts';
import { commandTooLong } from './launch-limits.ts';
import { splitContainerId } from '../container-id.ts';

/** A document that was found good: its tree and what it asks for. */
export interface Built {
  readonly tree: Tree;
  readonly desired: Desired;
}

export interface BuildOptions {
  /** The one before: entries that did not change are taken from it as they are. */
  readonly before: Built | null;
  /** Goes into the entries that changed. */
  readonly generation: number;
  readonly writtenBy: 'person' | 'console';
  readonly configured: Configured;
  /** Keys of the entries that an uninstallation has made absent. */
  readonly uninstalled?: ReadonlySet<string>;
}

/** Checks a tree and gives the desired state with all defaults, or the first problem. */
export function build(tree: Tree, options: BuildOptions): Built | Problem {
  if (!isMap(tree)) return { path: [], atKey: false, message: 'a map is expected' };
  const { before, generation, writtenBy, configured, uninstalled } = options;
  const top = topLevel(tree, before);
  if ('message' in top) return top;

  const taken = [...sectionOf(tree, 'repositories').keys()].find((id) => configured.has(id));
  if (taken !== undefined) {
    const message = `the configuration names a repository ${taken} already`;
    return { path: ['repositories', taken], atKey: true, message };
  }
  const repositories = members(tree, 'repositories', before, name, (id, member) => {
    const checked = check(repositorySchema, member, ['repositories', id]);
    return 'message' in checked ? checked : { value: repositoryEntry(id, checked.value) };
  });
  if ('message' in repositories) return repositories;

  const containers = members(
    tree,
    'containers',
    before,
    containerKey,
    (key, member, earlier: ContainerEntry | undefined) => {
      const checked = checkedEntry(member, sectionOf(before?.tree, 'containers').get(key), ['containers', key]);
      if ('message' in checked) return checked;
      const writer = writtenBy === 'console' ? (earlier?.writtenBy ?? 'console') : 'person';
      const isAbsent = checked.value.state === 'absent';
      const goesOn = writtenBy === 'console' && earlier?.uninstalling === true;
      const uninstalling = isAbsent && (goesOn || uninstalled?.has(key) === true);
      return containerEntry(key, checked.value, { generation, writtenBy: writer, changedBy: writtenBy, uninstalling });
    },
  );
  if ('message' in containers) return containers;

  const all = configured.size === 0 ? repositories.value : new Map([...configured, ...repositories.value]);
  const desired = { repositories: all, containers: containers.value, ...top.value };
  return problemBetween(desired) ?? { tree, desired };
}

/** What stands in the document itself; it is checked when that is not as before. */
function topLevel(tree: TreeMap, before: Built | null): { value: Pick<Desired, 'autostart' | 'trial'> } | Problem {
  const top = withoutMembers(tree);
  const known = before !== null && isMap(before.tree) && sameTree(top, withoutMembers(before.tree));
  const checked = known ? { value: before.desired } : check(documentSchema, top, []);
  if ('message' in checked) return checked;
  const { autostart, trial = null } = checked.value;
  return { value: { autostart, trial } };
}

/** The document without the entries of its two big maps, which are checked one by one: unchanged ones cost nothing. */
function withoutMembers(tree: TreeMap): TreeMap {
  const top = new Map(tree);
  for (const section of ['repositories', 'containers']) if (isMap(top.get(section))) top.set(section, new Map());
  return top;
}

export type EntryOf<K extends 'repositories' | 'containers'> =
  Desired[K] extends ReadonlyMap<string, infer E> ? E : never;

function members<K extends 'repositories' | 'containers', V extends EntryOf<K>>(
  tree: TreeMap,
  section: K,
  before: Built | null,
  keySchema: z.ZodType,
  make: (key: string, member: Tree, earlier: V | undefined) => { value: V } | Problem,
): { value: Map<string, V> } | Problem {
  const made = new Map<string, V>();
  const earlierTrees = sectionOf(before?.tree, section);
  const earlierEntries = before?.desired[section] as ReadonlyMap<string, V> | undefined;
  for (const [key, member] of sectionOf(tree, section)) {
    const earlier = earlierEntries?.get(key);
    const earlierTree = earlierTrees.get(key);
    if (earlier !== undefined && earlierTree !== undefined && sameTree(member, earlierTree)) {
      made.set(key, earlier);
      continue;
    }
    const checkedKey = check(keySchema, key, [section, key]);
    if ('message' in checkedKey) return { ...checkedKey, atKey: true };
    const entry = make(key, member, earlier);
    if ('message' in entry) return entry;
    made.set(key, entry.value);
  }
  return { value: made };
}

/** One of the two big maps of a document; an empty one where it has none. */
export function sectionOf(tree: Tree | undefined, section: string): TreeMap {
  const member = isMap(tree) ? tree.get(section) : undefined;
  return isMap(member) ? member : new Map<string, Tree>();
}

/** What a repository's fields say, wherever they stand. */
export function repositoryEntry(id: string, given: z.output<typeof repositorySchema>): RepositoryEntry {
  const { containers = null, size = null } = given.capacity;
  const keys = [given.key ?? []].flat();
  return {
    id,
    type: given.type,
    dir: given.dir ?? null,
    keys,
    mountOnStart: given.mountOnStart,
    capacity: { containers, size },
    integrity: keys.length === 0 ? 'none' : (given.integrity ?? 'dm-verity'),
  };
}

function containerEntry(
  key: string,
  given: z.output<typeof containerSchema>,
  made: Pick<ContainerEntry, 'generation' | 'writtenBy' | 'changedBy' | 'uninstalling'>,
): { value: ContainerEntry } | Problem {
  const { name, version: keyVersion } = splitContainerId(key);
  if (keyVersion !== null && given.version !== undefined && given.version !== keyVersion) {
    return {
      path: ['containers', key, 'version'],
      atKey: false,
      message: `the key says version ${keyVersion} already`,
    };
  }
  const { schedule = null } = given;
  const policy = given.restart.policy ?? (schedule === null ? 'always' : 'never');
  if (schedule !== null && policy === 'always') {
    const message = 'what has a schedule is started by that: restart is never, or on-failure';
    return { path: ['containers', key, 'restart', 'policy'], atKey: false, message };
  }
  if (schedule !== null && given.run !== undefined) {
    const message = 'what has a schedule is started by that, and by northstate run-once';
    return { path: ['containers', key, 'run'], atKey: true, message };
  }
  const {
    id,
    init = null,
    args = null,
    env = null,
  } = typeof given.run === 'number' ? { id: given.run } : (given.run ?? {});
  const run = id === undefined ? null : { id, init, args, env };
  const tooLong = commandTooLong({ args: given.args ?? null, env: given.env, run });
  if (tooLong !== null) {
    const field = run?.args || run?.env ? 'run' : given.args === undefined ? 'env' : 'args';
    return { path: ['containers', key, field], atKey: false, message: tooLong };
  }
  return {
    value: {
      key,
      name,
      version: keyVersion ?? given.version ?? null,
      state: given.state,
      source: given.source ?? null,
      digest: given.digest ?? null,
      repository: given.repository ?? null,
      restart: { ...given.restart, policy },
      stop: given.stop,
      dependsOn: given.dependsOn,
      restartWith: given.restartWith,
      health: given.health ?? null,
      settle: given.settle,
      timeout: given.timeout ?? null,
      schedule,
      env: given.env,
      args: given.args ?? null,
      init: given.init ?? null,
      cgroups: given.cgroups ?? null,
      rlimits: given.rlimits ?? null,
      oomScoreAdj: given.oomScoreAdj ?? null,
      run,
      prepare: given.prepare,
      paused: given.paused,
      update: given.update,
      lock: given.lock ?? null,
      persist: given.persist,
      ...made,
    },
  };
}
