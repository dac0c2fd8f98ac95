// What processes weigh, for benchmarks.
import { existsSync, readFileSync } from 'node:fs';

export interface Rollup {
  readonly Rss: number;
  readonly Pss: number;
  readonly Private: number;
  readonly Anonymous: number;
}

/** Resident, proportional, private and anonymous memory in KiB (proc_pid_smaps_rollup(5)); null for a process that has gone. */
export function rollupOf(pid: number): Rollup | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? NaN);
  return {
    Rss: field('Rss'),
    Pss: field('Pss'),
    Private: field('Private_Clean') + field('Private_Dirty'),
    Anonymous: field('Anonymous'),
  };
}

export function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split(' ').filter(Boolean).map(Number) : [];
}

/** A process and all below it. */
export function familyOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(familyOf)];
}
