// Waiting for the end of a process that is nobody's child here.
import { closeSync } from 'node:fs';
import { declareAsync, declareSyscall, SyscallError } from '../../native/libc.ts';
import { patience } from './patience.ts';

const POLLIN = 1;
const pidfdOpen = declareSyscall('pidfd_open', 434, ['int', 'unsigned int']);
const poll = declareAsync('poll', 'int', ['void *', 'unsigned long', 'int']);

/** Resolves when the process has ended (pidfd_open(2)). Rejects when it does not. */
export async function processEnded(pid: number): Promise<void> {
  const pidfd = openPidfd(pid);
  if (pidfd === null) return;
  const descriptor = Buffer.alloc(8);
  descriptor.writeInt32LE(pidfd, 0);
  descriptor.writeInt16LE(POLLIN, 4);
  const ready = await poll(`process ${pid}`, descriptor, 1, patience);
  closeSync(pidfd);
  if (ready === 0) throw new Error(`process ${pid} still runs`);
}

function openPidfd(pid: number): number | null {
  try {
    return pidfdOpen(`${pid}`, pid, 0);
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'ESRCH') return null;
    throw error;
  }
}
