// Who is whose child (proc_pid_stat(5), field ppid): /proc/PID/task/TID/children is not in every kernel.
import { readdirSync, readFileSync } from 'node:fs';

/** The children of every process, by its id. One that ends meanwhile is left out. */
function childrenOfAll(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = parentOf(entry);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  return children;
}

/** Null for a process that has ended. */
function parentOf(pid: string): number | null {
  return statOf(pid)?.parent ?? null;
}

/** What proc_pid_stat(5) says of a process; `state` is a letter (D: it waits for a device, or is frozen). */
export interface ProcessState {
  readonly pid: number;
  /** Up to 15 bytes of its name. */
  readonly command: string;
  readonly state: string;
  readonly parent: number;
}

/** Null for a process that has ended. */
export function processState(pid: number): ProcessState | null {
  return statOf(String(pid));
}

function statOf(pid: string): ProcessState | null {
  try {
    // The name stands in parentheses and may hold anything, parentheses and newlines included.
    const found = /^\d+ \((.*)\) (\S) (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    if (found === null) return null;
    const [, command = '', state = '', parent] = found;
    return { pid: Number(pid), command, state, parent: Number(parent) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}

/** The ids of a process's children. */
export function childrenOf(pid: number): readonly number[] {
  return childrenOfAll().get(pid) ?? [];
}

/** A process and all that it and its children have forked, itself first: in a PID namespace everybody descends from its init. */
export function descendantsOf(pid: number): readonly number[] {
  const children = childrenOfAll();
  const found = [pid];
  for (const each of found) found.push(...(children.get(each) ?? []));
  return found;
}
