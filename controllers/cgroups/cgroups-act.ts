// The acts of the cgroups controller.
import type { Logger } from 'pino';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import {
  allDone,
  branchesOf,
  branchesWith,
  comesAlone,
  groupIn,
  groupsIn,
  leavesIn,
  makeGroup,
  removeAtOnce,
  removeGroup,
  type Branch,
  type Tree,
} from './cgroup-groups.ts';
import type { CgroupStep } from './cgroups-plan.ts';
import { freeze, thaw } from './cgroup-freeze.ts';
import { endLeaf, removeLeaf } from './cgroup-end.ts';
import { moveInto, setOwn } from './cgroup-leaf.ts';
import { giveRealtime } from './cgroup-realtime.ts';
import { changesFor } from './cgroup-writes.ts';
import { writeControl } from './cgroup-files.ts';
import { controllersOf } from './cgroup-limits.ts';

/** Performs a step: TerminalError (CgroupRefused, NoController, BadLimit) of limits; an Error of what is to go and still in use. */
export async function actOnGroups(step: CgroupStep, tree: Tree, log: Pick<Logger, 'warn'>): Promise<void> {
  if (step.op === 'limit') await limit(step.name, step.section, tree);
  else if (step.op === 'freeze') await freeze(tree, step.name, step.attempt, step.pid);
  else if (step.op === 'thaw') await thaw(tree, step.name, step.attempt);
  else if (step.op === 'end-leaf') await endLeaf(tree, step.name, step.attempt, step.pid);
  else {
    const branches = branchesWith(tree, step.name);
    if (comesAlone(tree, 'removed') && removedInPlace(step, branches)) {
      if (step.op === 'remove-group') tree.places.set(step.name, null);
    } else await remove(step, tree, branches, log);
  }
}

type Removal = Extract<CgroupStep, { op: 'remove-leaf' | 'remove-group' }>;

const leavesOf = (step: Removal): readonly number[] => (step.op === 'remove-leaf' ? [step.attempt] : step.leaves);

/** Whether all of it was empty, and is gone: whoever is told of the end waits for nothing then. */
function removedInPlace(step: Removal, branches: readonly Branch[]): boolean {
  const groups = branches.map((branch) => groupIn(branch, step.name));
  const leaves = leavesOf(step).flatMap((attempt) => groups.map((group) => `${group}/${attempt}`));
  return leaves.every(removeAtOnce) && (step.op === 'remove-leaf' || groups.every(removeAtOnce));
}

async function remove(
  step: Removal,
  tree: Tree,
  branches: readonly Branch[],
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  // One that stays keeps none of the others.
  const ended = await Promise.allSettled(
    leavesOf(step).map((attempt) => removeLeaf(tree, branches, step.name, attempt)),
  );
  const groups = ended.reduce((sum, each) => sum + (each.status === 'fulfilled' ? each.value : 0), 0);
  if (groups > 0) log.warn({ container: step.name, groups }, 'groups that a container has made were removed');
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
  if (step.op === 'remove-leaf') return;
  await allDone(branches.map((branch) => removeGroup(groupIn(branch, step.name))));
  tree.places.set(step.name, null);
}

/** Limits of what runs. A hierarchy that the name was not in yet gets its processes first. */
async function limit(name: string, section: Section | null, tree: Tree): Promise<void> {
  const branches = branchesWith(tree, name);
  const present = groupsIn(branches, name);
  const missing = branchesOf(tree, controllersOf(section)).filter(({ controllers }) =>
    controllers.some((controller) => !present.has(controller)),
  );
  await Promise.all(missing.map((branch) => makeGroup(tree, branch, name)));
  giveRealtime(tree, name, section);
  for (const branch of missing) {
    for (const attempt of leavesIn(branches, name)) await moveInto(tree, branch, name, attempt, { section });
  }
  for (const { path, value } of changesFor(tree, name, section)) await writeControl(path, value);
  for (const attempt of leavesIn(branches, name)) await setOwn(tree, name, attempt, section);
}
