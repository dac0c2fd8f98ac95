// Finding, making and removing control groups: ROOT/container-NAME/ATTEMPT in every hierarchy that a container needs.
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, readControl, writeControl } from './cgroup-files.ts';
import { controllerNames, unifiedName, type ControllerName, type Hierarchies } from './cgroup-hierarchies.ts';
import { TerminalError } from './failure.ts';

/** No control file begins with it, so that no name (`memory.max`, `tasks`) can clash with one. */
const namePrefix = 'container-';

/** Our part of every hierarchy: what lies below the directory `root` of each. */
export interface Tree {
  readonly hierarchies: Hierarchies;
  readonly root: string;
  /** Roots that are being made: no group may be made in one that is not ready. */
  readonly making: Map<string, Promise<void>>;
}

/** One hierarchy: the v2 tree, or the v1 hierarchy of some controllers. */
export interface Branch {
  readonly version: 1 | 2;
  readonly controllers: readonly ControllerName[];
  /** Our root directory in it. */
  readonly root: string;
  /** The directory above, which is not ours. */
  readonly mount: string;
}

/** The v2 tree, when there is one, and the v1 hierarchies of the given controllers. */
export function branchesOf({ hierarchies, root }: Tree, controllers: Iterable<ControllerName>): Branch[] {
  const { legacy, unified, unifiedControllers } = hierarchies;
  const branch = (version: 1 | 2, mount: string, names: readonly ControllerName[]): Branch[] => [
    { version, controllers: names, mount, root: join(mount, root) },
  ];
  const used = [...controllers].filter((name) => legacy.has(name));
  const mounts = Map.groupBy(used, (name) => legacy.get(name) ?? '');
  const first = unified === null ? [] : branch(2, unified, [...unifiedControllers]);
  return [...first, ...[...mounts].flatMap(([mount, names]) => branch(1, mount, names))];
}

/** Every hierarchy that a group of ours can be in. */
export function allBranches(tree: Tree): Branch[] {
  return branchesOf(tree, controllerNames);
}

export function groupIn(branch: Branch, name: string): string {
  return join(branch.root, namePrefix + name);
}

/** The hierarchies in which a name has a group. */
export function branchesWith(tree: Tree, name: string): Branch[] {
  return allBranches(tree).filter((branch) => existsSync(groupIn(branch, name)));
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
  for (const branch of allBranches(tree)) {
    for (const entry of entriesOf(branch.root)) {
      if (!entry.startsWith(namePrefix)) continue;
      const name = entry.slice(namePrefix.length);
      names.set(name, [...(names.get(name) ?? []), branch]);
    }
  }
  return names;
}

/** Attempts that have a leaf in any of the given hierarchies. */
export function leavesIn(branches: readonly Branch[], name: string): number[] {
  const entries = branches.flatMap((branch) => entriesOf(groupIn(branch, name)));
  return [...new Set(entries.filter((entry) => /^\d+$/.test(entry)).map(Number))].sort((a, b) => a - b);
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

/** Makes the group of a name in one hierarchy, and the root above it; both may exist. Gives its directory. */
export async function makeGroup(tree: Tree, branch: Branch, name: string): Promise<string> {
  const group = groupIn(branch, name);
  const { root, mount, controllers, version } = branch;
  await makeRoot(tree, branch);
  if (version === 2) for (const above of [mount, root]) await enable(above, controllers);
  await makeDirectory(group);
  if (version === 1) return group;
  // In the leaf too, memory is counted by itself: its events tell whether this very attempt ran out of it.
  await enable(
    group,
    controllers.filter((controller) => controller === 'memory'),
  );
  return group;
}

function makeRoot({ making }: Tree, branch: Branch): Promise<void> {
  const { root } = branch;
  const pending = making.get(root);
  if (pending !== undefined) return pending;
  if (existsSync(root)) return Promise.resolve();
  const made = makeDirectory(root)
    .then(() => (branch.version === 1 ? prepareLegacyRoot(branch) : undefined))
    .finally(() => making.delete(root));
  making.set(root, made);
  return made;
}

/** What every group below inherits, and what can be set only as long as there is none. */
async function prepareLegacyRoot({ root, mount, controllers }: Branch): Promise<void> {
  if (controllers.includes('cpuset')) {
    // A new group has no processor and no memory node, and nothing can run in it, unless the one above says otherwise.
    await writeControl(join(root, 'cgroup.clone_children'), '1');
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      await writeControl(join(root, file), readControl(join(mount, file)) ?? '');
    }
  }
  // Before Linux 5.11 the limits of a group held for the groups in it only where this was set.
  const hierarchical = join(root, 'memory.use_hierarchy');
  if (controllers.includes('memory') && readControl(hierarchical) === '0') await writeControl(hierarchical, '1');
}

/** Hands controllers of the v2 tree down to the groups in a directory, one by one: the error names the one refused. */
async function enable(directory: string, controllers: readonly ControllerName[]): Promise<void> {
  if (controllers.length === 0) return;
  const file = join(directory, 'cgroup.subtree_control');
  const enabled = new Set(readControl(file)?.split(' '));
  const missing = controllers.map(unifiedName).filter((name) => !enabled.has(name));
  for (const name of missing) await writeControl(file, `+${name}`);
}

/**
 * Makes a group; one that exists is no error. false = the one above is missing. Not in place: the kernel makes it wait for
 * processes that join another group. Rejects with TerminalError (CgroupRefused).
 */
export async function makeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o755 });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return true;
    if (codeOf(error) === 'ENOENT') return false;
    throw new TerminalError('CgroupRefused', `cgroups: cannot make ${path}: ${codeOf(error)}`, { cause: error });
  }
}

/** Removes a group; one that is gone is no error. Rejects as long as there are processes or groups in it. */
export async function removeGroup(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw new Error(`cgroups: cannot remove ${path}: ${codeOf(error)}`, { cause: error });
  }
}
