// Freezing and thawing the leaf of an attempt: cgroup.freeze wherever there is a v2 tree, else the v1 freezer, which an
// attempt is brought into when it is to be frozen for the first time.
import { existsSync, watch } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { descendantsOf } from '../../native/processes.ts';
import { readControl, writeControl } from './cgroup-files.ts';
import { branchesOf, groupIn, type Branch, type Tree } from './cgroup-groups.ts';
import { moveInto } from './cgroup-leaf.ts';
import { isOwnLeaf } from './cgroup-owner.ts';
import { walkGroups } from './cgroup-subtree.ts';
import { TerminalError } from '../failure.ts';

/** `freezing`: it was asked for, and not every process has stopped yet. */
export type Frozen = 'freezing' | 'frozen';

/** ms until a process that does not stop (it waits for a disk) is an error; the next try goes on from there. */
const patience = 2000;

/** The hierarchy that freezes; null = this host has neither a v2 tree nor the v1 freezer. */
export function freezerOf(tree: Tree): Branch | null {
  const branches = branchesOf(tree, ['freezer']);
  return branches.find(({ version }) => version === 2) ?? branches[0] ?? null;
}

/** Those of its attempts with a leaf that do not run freely, as the kernel shows it. `branch` is where it freezes (freezerOf). */
export function frozenLeaves(
  branch: Branch | null,
  name: string,
  leaves: readonly number[],
): ReadonlyMap<number, Frozen> {
  if (branch === null) return new Map();
  return new Map(
    leaves.flatMap((attempt) => {
      const leaf = join(groupIn(branch, name), String(attempt));
      const state = existsSync(leaf) ? stateOf(branch, leaf) : null;
      return state === null ? [] : [[attempt, state] as const];
    }),
  );
}

/** Null = it runs. */
function stateOf({ version }: Branch, leaf: string): Frozen | null {
  if (version === 1) {
    const state = readControl(join(leaf, 'freezer.state'));
    return state === 'FROZEN' ? 'frozen' : state === 'FREEZING' ? 'freezing' : null;
  }
  if (readControl(join(leaf, 'cgroup.freeze')) !== '1') return null;
  return /^frozen 1$/m.test(readControl(join(leaf, 'cgroup.events')) ?? '') ? 'frozen' : 'freezing';
}

/**
 * Freezes everything in the leaf of an attempt, and resolves when it stands still. `init` is its init's pid. Rejects with
 * TerminalError (NoController) on a host that cannot, and with an Error when a process has not stopped within two seconds.
 */
export async function freeze(tree: Tree, name: string, attempt: number, init: number): Promise<void> {
  const branch = freezerOf(tree);
  if (branch === null)
    throw new TerminalError('NoController', 'cgroups: this host has no freezer: neither a v2 tree nor that of v1');
  const leaf = join(groupIn(branch, name), String(attempt));
  // On v1 what is forked meanwhile is in the group of its parent: after the second round nobody is left out.
  if (branch.version === 1) await moveInto(tree, branch, name, attempt, { others: () => descendantsOf(init) });
  await writeControl(join(leaf, ...fileOf(branch)), branch.version === 1 ? 'FROZEN' : '1');
  const stopped = branch.version === 1 ? await settles(branch, leaf) : await isTold(branch, leaf);
  if (!stopped) throw new Error(`cgroups: ${leaf} is not frozen yet: a process in it does not stop`);
}

/**
 * Lets the leaf of an attempt go on, with the groups that the container has made below it. One that is gone, or is not frozen, is
 * no error; in a leaf of another runtime nothing is done. Gives whether anything was frozen.
 */
export async function thaw(tree: Tree, name: string, attempt: number): Promise<boolean> {
  let wasFrozen = false;
  for (const branch of branchesOf(tree, ['freezer'])) {
    const leaf = join(groupIn(branch, name), String(attempt));
    const below = hasGroups(leaf);
    // As a rule nothing of it is frozen, and nobody need know whose it is.
    if (!below && stateOf(branch, leaf) === null) continue;
    if (!existsSync(leaf) || !isOwnLeaf(tree, leaf)) continue;
    const enter = async (group: string): Promise<void> => {
      wasFrozen = (await thawGroup(branch, group)) || wasFrozen;
    };
    if (below) await walkGroups(leaf, { enter });
    else await enter(leaf);
  }
  return wasFrozen;
}

/** Lets one group go on, by itself; gives whether it was frozen. What is above a group freezes it as well. */
export async function thawGroup(branch: Branch, group: string): Promise<boolean> {
  if (stateOf(branch, group) === null) return false;
  await writeControl(join(group, ...fileOf(branch)), branch.version === 1 ? 'THAWED' : '0');
  return true;
}

/** Whether there may be groups below one: on v2 the kernel counts them. */
function hasGroups(group: string): boolean {
  return !/^nr_descendants 0$/m.test(readControl(join(group, 'cgroup.stat')) ?? '');
}

function fileOf({ version }: Branch): [string] {
  return [version === 1 ? 'freezer.state' : 'cgroup.freeze'];
}

/** cgroup.events is a file that inotify(7) tells the changes of (cgroup-v2, "Populated Notification"). */
async function isTold(branch: Branch, leaf: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const look = (): void => {
    if (stateOf(branch, leaf) !== 'freezing') resolve(stateOf(branch, leaf) === 'frozen');
  };
  const watcher = watch(join(leaf, 'cgroup.events'), look);
  const timer = setTimeout(() => resolve(false), patience);
  // Read once the watch is there, so that no change falls between.
  look();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    watcher.close();
  }
}

/** freezer.state of v1 tells nobody: it is as the kernel finds it when it is read. */
async function settles(branch: Branch, leaf: string): Promise<boolean> {
  const end = performance.now() + patience;
  for (let pause = 1; stateOf(branch, leaf) === 'freezing' && performance.now() < end; pause *= 2) await delay(pause);
  return stateOf(branch, leaf) === 'frozen';
}
