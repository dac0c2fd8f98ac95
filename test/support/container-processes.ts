// What the host's /proc tells about a container.
import { closeSync, readFileSync } from 'node:fs';
import { patience } from './patience.ts';
import { declareAsync, declareSyscall } from '../../native/libc.ts';

const POLLIN = 1;
const pidfdOpen = declareSyscall('pidfd_open', 434, ['int', 'unsigned int']);
const poll = declareAsync('poll', 'int', ['void *', 'unsigned long', 'int']);

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

/** The command line of a process, its arguments ended by NUL; empty once it has ended (proc_pid_cmdline(5)). */
export function commandLine(pid: number | string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch (error) {
    // ESRCH: it ended between open and read.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

/** Resolves when a process that is there now has ended, and rejects when it does not. */
export async function endOf(pid: number): Promise<void> {
  const pidfd = pidfdOpen(String(pid), pid, 0);
  const polled = Buffer.alloc(8);
  polled.writeInt32LE(pidfd, 0);
  polled.writeInt16LE(POLLIN, 4);
  try {
    const ready = await poll(`process ${pid}`, polled, 1, patience);
    if (ready === 0) throw new Error(`process ${pid} is still there`);
  } finally {
    closeSync(pidfd);
  }
}
