// The end of what is in the leaf of an attempt, whatever it has made of its groups: processes that it has frozen, or moved into
// groups of its own, are killed where they are.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processState } from '../../native/processes.ts';
import { codeOf, writeControl } from './cgroup-files.ts';
import { thawGroup } from './cgroup-freeze.ts';
import {
  allDone,
  groupIn,
  leavesOfAttempt,
  pidsIn,
  removeEmpty,
  removeGroup,
  type Branch,
  type Tree,
} from './cgroup-groups.ts';
import { isOwnLeaf } from './cgroup-owner.ts';
import { removeBelow, walkGroups } from './cgroup-subtree.ts';

/** ms that killed processes have to be gone; the next try goes on from there. */
const patience = 500;

/**
 * Kills whatever is in the leaf of an attempt and thaws it, until nothing of that runs. `init` is its init's pid. Rejects with an
 * Error that names the processes that stay.
 */
export async function endLeaf(tree: Tree, name: string, attempt: number, init: number): Promise<void> {
  const end = performance.now() + patience;
  for (let pause = 1; ; pause *= 2) {
    const found = new Set([init]);
    for (const { branch, leaf } of leavesOfAttempt(tree, name, attempt)) {
      if (isOwnLeaf(tree, leaf)) await walkGroups(leaf, { enter: (group) => endGroup(branch, group, found) });
    }
    const left = [...found].flatMap((pid) => processState(pid) ?? []).filter(({ state }) => !'ZX'.includes(state));
    if (left.length === 0) return;
    if (performance.now() > end) {
      const named = left.slice(0, 5).map(({ pid, command, state }) => `${pid} (${command}) in state ${state}`);
      const more = left.length > named.length ? `, and ${left.length - named.length} more` : '';
      throw new Error(`attempt ${attempt} of ${name} was killed and does not end: process ${named.join(', ')}${more}`);
    }
    await delay(pause);
  }
}

/**
 * Removes the leaf of an attempt that has ended, in these hierarchies, and what it has made below it. Processes in it that
 * outlived their init are killed: nobody else owns them. In a leaf that another runtime has made nothing is. Gives how many
 * groups were below it. Rejects as long as processes are in it.
 */
export async function removeLeaf(
  tree: Tree,
  branches: readonly Branch[],
  name: string,
  attempt: number,
): Promise<number> {
  const leaves = branches.map((branch) => ({ branch, leaf: join(groupIn(branch, name), String(attempt)) }));
  // As a rule nothing is in it any more: the kernel says so, and nobody need look.
  const gone = await Promise.all(leaves.map(({ leaf }) => removeEmpty(leaf)));
  const found = leaves.filter((_, index) => gone[index] === false);
  const below = await allDone(
    found.map(async ({ branch, leaf }) => {
      const isOurs = isOwnLeaf(tree, leaf);
      const { removed, whole } = await removeBelow(leaf, async (group) => {
        if (isOurs) await endGroup(branch, group, new Set());
      });
      if (!whole) throw new Error(`cgroups: ${leaf} has more groups below it than can be removed now`);
      return removed;
    }),
  );
  await allDone(found.map(({ leaf }) => removeGroup(leaf)));
  return Math.max(0, ...below);
}

/** On v1 a process that is frozen does not even die of SIGKILL. cgroup.kill (v2, since Linux 5.14) leaves no time for a fork. */
async function endGroup(branch: Branch, group: string, found: Set<number>): Promise<void> {
  const pids = pidsIn(group);
  pids.forEach((pid) => found.add(pid));
  const whole = join(group, 'cgroup.kill');
  if (pids.length > 0 && existsSync(whole)) await writeControl(whole, '1');
  else pids.forEach(kill);
  await thawGroup(branch, group);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}
