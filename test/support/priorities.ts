// How the kernel schedules the threads of a process.
import { readdirSync, readFileSync } from 'node:fs';

/** The nice value of each thread, the main one first (proc_pid_stat(5)). */
export function prioritiesOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((task) => {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
}

/** That of its session, where the kernel schedules by session (sched(7)); null where it does not. */
export function sessionPriorityOf(pid: number): number | null {
  try {
    return Number(/nice (-?\d+)/.exec(readFileSync(`/proc/${pid}/autogroup`, 'utf8'))?.[1]);
  } catch {
    return null;
  }
}
