// What the host's /proc tells about a container.
import { readFileSync } from 'node:fs';

/** A field of /proc/PID/status (proc_pid_status(5)). */
export function field(status: string, name: string): string | undefined {
  const line = status.split('\n').find((text) => text.startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim();
}

/** The application's pid as the host sees it: the child of its init. */
export function hostPid({ pid }: { readonly pid: number }): number {
  const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return Number(first);
}
