// The real-time budget of groups on cgroup v1 (sched(7), CONFIG_RT_GROUP_SCHED): a new group has none, and nothing in it can
// have a real-time policy; what a group gives away to those in it, all of them together, is never more than it has.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import { codeOf, readControl } from './cgroup-files.ts';
import { branchesOf, groupIn, namesIn, type Tree } from './cgroup-groups.ts';
import { TerminalError } from '../failure.ts';

export const periodFile = 'cpu.rt_period_us';
export const runtimeFile = 'cpu.rt_runtime_us';
/** Of a new group, in microseconds. */
export const usualPeriod = 1_000_000;

/**
 * Gives the group of a name the budget that the section asks for, and our root as much more. Quick, and in one go: two names
 * do not count on the same room. Throws TerminalError (CgroupRefused) when the host has no more to give.
 */
export function giveRealtime(tree: Tree, name: string, section: Section | null): void {
  const [branch] = branchesOf(tree, ['cpu']).filter(({ version }) => version === 1);
  const asked = budgetOf(section);
  if (branch === undefined || asked === null) return;
  const group = groupIn(branch, name);
  const others = [...namesIn(tree).keys()].filter((other) => other !== name);
  const shares = others.map((other) => shareOf(groupIn(branch, other)));
  const period = Number(readControl(join(branch.root, periodFile)));
  const needed = Math.ceil(shares.reduce((sum, share) => sum + share, asked.runtime / asked.period) * period);
  // A parent's budget is not ours to raise.
  const isOurs = tree.places.of(name) === null;
  if (isOurs && Number(readControl(join(branch.root, runtimeFile))) < needed)
    write(join(branch.root, runtimeFile), needed);
  if (Number(readControl(join(group, periodFile))) !== asked.period) write(join(group, periodFile), asked.period);
  if (Number(readControl(join(group, runtimeFile))) !== asked.runtime) write(join(group, runtimeFile), asked.runtime);
}

/** In microseconds; a period that is not asked for is the kernel's. */
export function budgetOf(section: Section | null): { runtime: number; period: number } | null {
  const { realtime_runtime: runtime = 0, realtime_period: period = usualPeriod } = section?.cpu ?? {};
  return runtime > 0 ? { runtime, period } : null;
}

/** Of one processor; 0 for what is no group here, or none with a budget. */
function shareOf(group: string): number {
  const runtime = Number(readControl(join(group, runtimeFile)));
  return runtime > 0 ? runtime / Number(readControl(join(group, periodFile))) : 0;
}

function write(file: string, value: number): void {
  try {
    writeFileSync(file, String(value));
  } catch (error) {
    const message = `cgroups: ${file} refuses "${value}": ${codeOf(error)}; the host has no such real-time budget left`;
    throw new TerminalError('CgroupRefused', message, { cause: error });
  }
}
