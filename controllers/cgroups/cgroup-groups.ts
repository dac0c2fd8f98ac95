// Finding, making and removing control groups: ROOT/container-NAME/ATTEMPT in every hierarchy that a container needs. A
// section's `parent` stands in the place of ROOT.
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, readControl, writeControl } from './cgroup-files.ts';
import { controllerNames, unifiedName, type ControllerName, type Hierarchies } from './cgroup-hierarchies.ts';
import type { Places } from './cgroup-places.ts';
import { TerminalError } from '../failure.ts';

/** No control file begins with it, so that no name (`memory.max`, `tasks`) can clash with one. */
const namePrefix = 'container-';

/** Our part of every hierarchy: what lies below the directory `root` of each. */
export interface Tree {
  readonly hierarchies: Hierarchies;
  readonly root: string;
  /** Names this runtime and no other, also after its launcher was started anew: its stateDir. */
  readonly owner: string;
  /** The names that are not below the root. */
  readonly places: Places;
  /** Roots that are being made: no group may be made in one that is not ready. */
  readonly making: Map<string, Promise<void>>;
  /** Every hierarchy that a group of ours can be in. */
  readonly all: readonly Branch[];
  /** Roots that there are, or that were: nothing of ours lies in another hierarchy, unless a section's `parent` says so. */
  readonly rooted: Set<string>;
  /** When groups were removed and made last (performance.now()). */
  readonly removed: { last: number };
  readonly made: { last: number };
}

/** One hierarchy: the v2 tree, or the v1 hierarchy of some controllers. */
export interface Branch {
  readonly version: 1 | 2;
  readonly controllers: readonly ControllerName[];
  /** Our root directory in it. */
  readonly root: string;
  /** The directory above, which is not ours. */
  readonly mount: string;
  readonly places: Places;
}

type TreePlace = Pick<Tree, 'hierarchies' | 'root' | 'owner' | 'places'> & Partial<Pick<Tree, 'rooted'>>;

/** The hierarchies of a host with our part in them. */
export function createTree({ hierarchies, root, owner, places, rooted: known }: TreePlace): Tree {
  const { legacy, others, unified, unifiedControllers } = hierarchies;
  const branch = (version: 1 | 2, mount: string, controllers: readonly ControllerName[]): Branch => {
    return { version, controllers, mount, root: join(mount, root), places };
  };
  const used = controllerNames.filter((name) => legacy.has(name));
  const mounts = Map.groupBy(used, (name) => legacy.get(name) ?? '');
  const all = [
    ...(unified === null ? [] : [branch(2, unified, [...unifiedControllers])]),
    ...[...mounts].map(([mount, names]) => branch(1, mount, names)),
    ...others.map((mount) => branch(1, mount, [])),
  ];
  const rooted = known ?? new Set(all.map((each) => each.root).filter((path) => existsSync(path)));
  return { hierarchies, root, owner, places, making: new Map(), all, rooted, removed: never(), made: never() };
}

const never = (): { last: number } => ({ last: -Infinity });

/** The v2 tree, when there is one, and the v1 hierarchies of the given controllers. */
export function branchesOf({ all }: Tree, controllers: Iterable<ControllerName>): Branch[] {
  const asked = new Set(controllers);
  return all.flatMap((branch) => {
    const used = branch.controllers.filter((name) => asked.has(name));
    if (branch.version === 2) return [branch];
    return used.length === 0 ? [] : [{ ...branch, controllers: used }];
  });
}

export function groupIn({ places, root, mount }: Branch, name: string): string {
  const parent = places.of(name);
  // Joined by hand: each look at a name asks for one of each hierarchy.
  return `${parent === null ? root : join(mount, parent)}/${namePrefix}${name}`;
}

/** The hierarchies in which a name has a group. */
export function branchesWith(tree: Tree, name: string): Branch[] {
  const isBelowRoot = tree.places.of(name) === null;
  return tree.all.filter(
    (branch) => (!isBelowRoot || tree.rooted.has(branch.root)) && existsSync(groupIn(branch, name)),
  );
}

/** Controller -> directory of the name's group in the given hierarchies; `unified` for the v2 tree itself. */
export function groupsIn(branches: readonly Branch[], name: string): Map<string, string> {
  const groups = new Map<string, string>();
  for (const branch of branches) {
    const group = groupIn(branch, name);
    if (branch.version === 2) groups.set('unified', group);
    for (const controller of branch.controllers) groups.set(controller, group);
  }
  return groups;
}

/** Every name that has a group, and the hierarchies in which it does. */
export function namesIn(tree: Tree): Map<string, Branch[]> {
  const names = new Map<string, Branch[]>();
  for (const branch of tree.all) {
    if (existsSync(branch.root)) tree.rooted.add(branch.root);
    for (const entry of entriesOf(branch.root)) {
      if (!entry.startsWith(namePrefix)) continue;
      const name = entry.slice(namePrefix.length);
      if (tree.places.of(name) === null) names.set(name, [...(names.get(name) ?? []), branch]);
    }
  }
  for (const name of tree.places.all().keys()) {
    const branches = branchesWith(tree, name);
    if (branches.length > 0) names.set(name, branches);
  }
  return names;
}

/** Attempts that have a leaf in any of the given hierarchies. */
export function leavesIn(branches: readonly Branch[], name: string): number[] {
  const entries = branches.flatMap((branch) => entriesOf(groupIn(branch, name)));
  return [...new Set(entries.filter((entry) => /^\d+$/.test(entry)).map(Number))].sort((a, b) => a - b);
}

/** A pid of 0 is a process of another PID namespace, which cannot be named here. */
export function pidsIn(group: string): number[] {
  const text = readControl(join(group, 'cgroup.procs')) ?? '';
  return text
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0);
}

/** The leaves that an attempt has, with the hierarchies that they are in. */
export function leavesOfAttempt(tree: Tree, name: string, attempt: number): { branch: Branch; leaf: string }[] {
  return tree.all
    .map((branch) => ({ branch, leaf: join(groupIn(branch, name), String(attempt)) }))
    .filter(({ leaf }) => existsSync(leaf));
}

/** [] for a directory that is missing. */
function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Groups below that of a name on v2, those that a container has made (CAP_SYS_ADMIN) among them. v1 knows no such limit. */
export const mostGroups = 1024;

/**
 * Makes the group of a name in one hierarchy, and the root above it; both may exist. With `leaf` that as well, below it: gives
 * what became of that. `inPlace` as of makeDirectory().
 */
export async function makeGroup(
  tree: Tree,
  branch: Branch,
  name: string,
  { leaf = null, inPlace = false }: { readonly leaf?: string | null; readonly inPlace?: boolean } = {},
): Promise<Made> {
  const group = groupIn(branch, name);
  const { controllers, version } = branch;
  const above = await makeAbove(tree, branch, name);
  if (version === 2) for (const directory of above) await enable(directory, controllers);
  await makeDirectory(group, inPlace);
  const made = leaf === null ? 'missing' : makeDirectory(leaf, inPlace);
  // In the leaf too, memory is counted by itself: its events tell whether this very attempt ran out of it.
  const inLeaf = controllers.filter((controller) => version === 2 && controller === 'memory');
  const bound = version === 1 ? [] : [writeControl(join(group, 'cgroup.max.descendants'), String(mostGroups), inPlace)];
  // None needs another, and each may be a call of another thread: all at once.
  await Promise.all([made, ...bound, enable(group, inLeaf)]);
  return await made;
}

/** Makes what is missing above the group of a name. Gives the directories from the mount point down. */
async function makeAbove(tree: Tree, branch: Branch, name: string): Promise<string[]> {
  const { mount, root } = branch;
  const parent = tree.places.of(name);
  if (parent === null) {
    await makeOnce(tree, branch, root, mount);
    return [mount, root];
  }
  const directories = [mount];
  for (const step of parent.split('/')) {
    const above = directories.at(-1) ?? mount;
    const directory = join(above, step);
    // What is there already is somebody else's, and stays as it is.
    if (!existsSync(directory)) tree.places.addMade(directory);
    await makeOnce(tree, branch, directory, above);
    directories.push(directory);
  }
  return directories;
}

/** Makes our root in one hierarchy; it may exist. */
export async function makeRoot(tree: Tree, branch: Branch): Promise<void> {
  await makeOnce(tree, branch, branch.root, branch.mount);
}

function makeOnce({ making, rooted }: Tree, branch: Branch, directory: string, above: string): Promise<void> {
  if (directory === branch.root) rooted.add(directory);
  const pending = making.get(directory);
  if (pending !== undefined) return pending;
  if (existsSync(directory)) return Promise.resolve();
  const made = makeDirectory(directory)
    .then(() => (branch.version === 1 ? prepareLegacy(branch, directory, above) : undefined))
    .finally(() => making.delete(directory));
  making.set(directory, made);
  return made;
}

/** What every group below inherits, and what can be set only as long as there is none. */
async function prepareLegacy({ controllers }: Branch, directory: string, above: string): Promise<void> {
  if (controllers.includes('cpuset')) {
    // A new group has no processor and no memory node, and nothing can run in it, unless the one above says otherwise.
    await writeControl(join(directory, 'cgroup.clone_children'), '1');
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      await writeControl(join(directory, file), readControl(join(above, file)) ?? '');
    }
  }
  // Before Linux 5.11 the limits of a group held for the groups in it only where this was set.
  const hierarchical = join(directory, 'memory.use_hierarchy');
  if (controllers.includes('memory') && readControl(hierarchical) === '0') await writeControl(hierarchical, '1');
}

/** Takes away what is left of the roots, and of the parents that were made. Gives why any of them stays. */
export async function removeRoots(tree: Tree): Promise<unknown[]> {
  const errors: unknown[] = [];
  const remove = (directory: string): Promise<void> =>
    removeGroup(directory).catch((error: unknown) => void errors.push(error));
  // What lies in another is longer.
  for (const made of [...tree.places.made()].sort((a, b) => b.length - a.length)) await remove(made);
  await Promise.all([...new Set(tree.all.map(({ root }) => root))].map(remove));
  return errors;
}

/** Hands controllers of the v2 tree down to the groups in a directory, one by one: the error names the one refused. */
async function enable(directory: string, controllers: readonly ControllerName[]): Promise<void> {
  if (controllers.length === 0) return;
  const file = join(directory, 'cgroup.subtree_control');
  const enabled = new Set(readControl(file)?.split(' '));
  const missing = controllers.map(unifiedName).filter((name) => !enabled.has(name));
  for (const name of missing) await writeControl(file, `+${name}`);
}

/** What became of a group that is to be there: it is new, somebody had made it before, or the one above is missing. */
export type Made = 'new' | 'there' | 'missing';

/**
 * Makes a group; one that exists is no error. `inPlace` only where nobody else is under way:
 * the kernel makes it wait for processes that join another group. Rejects with TerminalError (CgroupRefused).
 */
export async function makeDirectory(path: string, inPlace = false): Promise<Made> {
  try {
    if (inPlace) mkdirSync(path, { mode: 0o755 });
    else await mkdir(path, { mode: 0o755 });
    return 'new';
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return 'there';
    if (codeOf(error) === 'ENOENT') return 'missing';
    throw new TerminalError('CgroupRefused', `cgroups: cannot make ${path}: ${codeOf(error)}`, { cause: error });
  }
}

/** What all of them give; rejects with a failure when none is under way any more, so that the next try meets nothing of this one. */
export async function allDone<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}

/** ms without another one after which what is done to groups comes alone. */
const ALONE = { removed: 20, made: 10 } as const;

/**
 * Whether what is made or removed now comes alone: that is done in place, in some ten microseconds. Where many come together the
 * kernel lets each wait for what it still does about those before, and other threads wait for that.
 */
export function comesAlone(tree: Tree, what: 'made' | 'removed'): boolean {
  const now = performance.now();
  const alone = now - tree[what].last > ALONE[what];
  tree[what].last = now;
  return alone;
}

/** Removes a group; one that is gone is no error. Rejects as long as there are processes or groups in it. */
export async function removeGroup(path: string): Promise<void> {
  if (await removeEmpty(path)) return;
  throw new Error(`cgroups: cannot remove ${path}: EBUSY`);
}

/** Removes a group; one that is gone is no error. False as long as there are processes or groups in it. */
export async function removeEmpty(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    if (codeOf(error) === 'EBUSY') return false;
    throw new Error(`cgroups: cannot remove ${path}: ${codeOf(error)}`, { cause: error });
  }
}

/** The same on this thread; false as well when it cannot be removed for another reason. */
export function removeAtOnce(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return codeOf(error) === 'ENOENT';
  }
}
