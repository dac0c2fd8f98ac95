// The leaf of an attempt: a group below the name's group, which holds the processes and nothing else.
import { constants, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { codeOf, openDescriptors, readControl, writeControl } from './cgroup-files.ts';
import type { ObservedCgroup } from '../../state/observed.ts';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import {
  branchesOf,
  comesAlone,
  groupIn,
  leavesOfAttempt,
  makeDirectory,
  makeGroup,
  pidsIn,
  type Branch,
  type Tree,
} from './cgroup-groups.ts';
import type { ControllerName } from './cgroup-hierarchies.ts';
import { markLeaf, takeLeaf } from './cgroup-owner.ts';
import { budgetOf } from './cgroup-realtime.ts';
import { TerminalError } from '../failure.ts';

/** What a sandbox needs of its leaf. */
export interface Leaf {
  /** The v2 directory, for CLONE_INTO_CGROUP; null without a v2 tree. */
  readonly directory: number | null;
  /** cgroup.procs of the v1 leaves, open for writing. */
  readonly procs: readonly number[];
  /** memory.events (v2) or memory.oom_control (v1): its `oom_kill N` counts this attempt's; null without the memory controller. */
  readonly oom: number | null;
  /** Closes the descriptors; the leaf stays. */
  close(): void;
}

/** Makes the leaf in the given hierarchies; it may exist. Rejects with TerminalError (CgroupRefused). */
export async function makeLeaf(
  tree: Tree,
  branches: readonly Branch[],
  name: string,
  attempt: number,
  section: Section | null,
): Promise<Leaf> {
  const inPlace = comesAlone(tree, 'made');
  const leaves = await Promise.all(branches.map((branch) => leafIn(tree, branch, name, attempt, inPlace)));
  return openAll(leaves, section);
}

/**
 * Opens the leaf of what runs, for whoever joins it, whose ends are not counted there: one that lies in all of the given
 * hierarchies; else null.
 */
export function openLeaf(
  branches: readonly Branch[],
  name: string,
  attempt: number,
  section: Section | null,
): Leaf | null {
  const leaves = branches.map((branch) => ({ branch, path: join(groupIn(branch, name), String(attempt)) }));
  try {
    return openAll(leaves, section, false);
  } catch (error) {
    if (error instanceof TerminalError && codeOf(error.cause) === 'ENOENT') return null;
    throw error;
  }
}

/** Throws TerminalError (CgroupRefused). */
function openAll(
  leaves: readonly { branch: Branch; path: string }[],
  section: Section | null,
  countsKills = true,
): Leaf {
  const unified = leaves.find(({ branch }) => branch.version === 2);
  const legacy = leaves.filter(({ branch }) => branch.version === 1);
  const memory = leaves.find(({ branch }) => branch.controllers.includes('memory'));
  const events = memory?.branch.version === 2 ? 'memory.events' : 'memory.oom_control';
  const { open, close } = openDescriptors();
  return {
    directory: unified === undefined ? null : open(unified.path, constants.O_RDONLY | constants.O_DIRECTORY),
    procs: legacy.map(({ branch, path }) =>
      open(join(processesOf(branch, path, section), 'cgroup.procs'), constants.O_WRONLY),
    ),
    oom: memory === undefined || !countsKills ? null : open(join(memory.path, events), constants.O_RDONLY),
    close,
  };
}

async function leafIn(
  tree: Tree,
  branch: Branch,
  name: string,
  attempt: number,
  inPlace = false,
): Promise<{ branch: Branch; path: string }> {
  const group = groupIn(branch, name);
  const path = join(group, String(attempt));
  // Where the group is there already, on v2 it must also hand the memory controller down.
  const whole = branch.version === 1 || !branch.controllers.includes('memory');
  let made = existsSync(group) ? await makeDirectory(path, inPlace) : 'missing';
  if (made === 'missing') made = await makeGroup(tree, branch, name, { leaf: path, inPlace });
  else if (!whole && !existsSync(join(path, 'memory.events')))
    await makeGroup(tree, branch, name, { leaf: path, inPlace });
  if (made === 'new') markLeaf(tree, path);
  else takeLeaf(tree, path, () => pidsIn(path).length > 0);
  return { branch, path };
}

/**
 * On cgroup v1, what groups do not hand down: the processors and memory nodes of an attempt, which are those that the section
 * asks for, else all of the group's, and its swappiness. Rejects with TerminalError (CgroupRefused).
 */
export async function setOwn(tree: Tree, name: string, attempt: number, section: Section | null): Promise<void> {
  await setSwappiness(tree, name, attempt, section);
  const branch = branchesOf(tree, ['cpuset']).find(({ version }) => version === 1);
  if (branch === undefined) return;
  const group = groupIn(branch, name);
  if (!existsSync(group)) return;
  const sets = { 'cpuset.cpus': section?.cpu?.cpus, 'cpuset.mems': section?.cpu?.mems };
  for (const [file, asked] of Object.entries(sets)) {
    const leaf = join(group, String(attempt), file);
    const now = readControl(leaf);
    const value = asked ?? readControl(join(group, file));
    if (now !== null && value !== null && now !== value) await writeControl(leaf, value);
  }
}

/** What setOwn sets, as the files of the group and of its leaves show it; `branches` are those that the name has a group in. */
export function ownOf(branches: readonly Branch[], name: string, attempts: readonly number[]): ObservedCgroup['own'] {
  const branch = branches.find(({ version, controllers }) => version === 1 && controllers.includes('cpuset'));
  if (branch === undefined) return new Map();
  const group = groupIn(branch, name);
  const found = (['cpuset.cpus', 'cpuset.mems'] as const).flatMap((file) => {
    const whole = readControl(join(group, file));
    const leaves = attempts.flatMap((attempt) => readControl(join(group, String(attempt), file)) ?? []);
    return whole === null ? [] : [[file, { group: whole, leaves: [...new Set(leaves)] }] as const];
  });
  return new Map(found);
}

/**
 * Brings the processes of an attempt into another hierarchy, until no new one has been forked meanwhile: those of its
 * leaves, and `others`. `section` is that of a hierarchy with limits.
 */
export async function moveInto(
  tree: Tree,
  branch: Branch,
  name: string,
  attempt: number,
  { section = null, others = () => [] }: { section?: Section | null; others?: () => readonly number[] },
): Promise<void> {
  const sources = leavesOfAttempt(tree, name, attempt).map(({ leaf }) => leaf);
  const { path } = await leafIn(tree, branch, name, attempt);
  const procs = join(processesOf(branch, path, section), 'cgroup.procs');
  const moved = new Set<number>();
  for (;;) {
    const found = new Set([...sources.flatMap(pidsIn), ...others()]).difference(moved);
    if (found.size === 0) return;
    for (const pid of found) await move(procs, pid);
    found.forEach((pid) => moved.add(pid));
  }
}

async function move(procs: string, pid: number): Promise<void> {
  try {
    await writeControl(procs, String(pid));
  } catch (error) {
    // ESRCH: it has ended.
    if (!(error instanceof TerminalError) || codeOf(error.cause) !== 'ESRCH') throw error;
  }
}

async function setSwappiness(tree: Tree, name: string, attempt: number, section: Section | null): Promise<void> {
  const branch = branchesOf(tree, ['memory']).find(
    ({ version, controllers }) => version === 1 && controllers.includes('memory'),
  );
  if (branch === undefined) return;
  if (!existsSync(groupIn(branch, name))) return;
  const file = join(groupIn(branch, name), String(attempt), 'memory.swappiness');
  const now = readControl(file);
  const value = String(section?.memory?.swappiness ?? tree.hierarchies.swappiness);
  if (now !== null && now !== value) await writeControl(file, value);
}

/**
 * The group that the processes of a leaf go into. On v1 a real-time budget is the name's, which then has all of it: a
 * replacement could not have it as well in a leaf of its own. And rates of block devices hold for the processes of a group, not
 * for those in groups below it (cgroup-v1/blkio-controller, "Hierarchical Cgroups").
 */
export function processesOf(branch: Branch, leaf: string, section: Section | null): string {
  const has = (controller: ControllerName): boolean => branch.version === 1 && branch.controllers.includes(controller);
  const shared = (has('cpu') && budgetOf(section) !== null) || (has('blkio') && section?.blkio !== undefined);
  return shared ? dirname(leaf) : leaf;
}
