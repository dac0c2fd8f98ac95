// Moving processes between groups of cgroup v1 without waiting for the whole machine.
import { closeSync } from 'node:fs';
import { declareAsync, declareSyscall } from './libc.ts';

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const fsconfigNumber = 431;

const fsopen = declareSyscall('fsopen', 430, ['str', 'unsigned int']);
const fsconfig = declareSyscall('fsconfig', fsconfigNumber, ['int', 'unsigned int', 'str', 'str', 'int']);
// Waits once for what every later move is spared.
const create = declareAsync('fsconfig', 'long', ['long', 'int', 'unsigned int', 'str', 'str', 'int'], 'syscall');
const fsmount = declareSyscall('fsmount', 432, ['int', 'unsigned int', 'unsigned int']);

/**
 * Since Linux 6.0 whoever moves a process into another group of cgroup v1 waits for an RCU grace period (5 to 25 ms) when nobody
 * has moved one just before, unless there is a hierarchy that is mounted with `favordynmods`: forks and exits then take
 * some ten nanoseconds more, as they always did before. Makes such a hierarchy, of that name (cgroups(7)), without a controller and
 * mounted nowhere, and gives the descriptor that it lives as long as. Rejects with SyscallError: EINVAL where the kernel
 * does not know of it.
 */
export async function favourMoves(name: string): Promise<number> {
  const subject = `cgroup hierarchy ${name}`;
  const context = fsopen(subject, 'cgroup', FSOPEN_CLOEXEC);
  try {
    fsconfig(subject, context, FSCONFIG_SET_FLAG, 'favordynmods', null, 0);
    fsconfig(subject, context, FSCONFIG_SET_FLAG, 'none', null, 0);
    fsconfig(subject, context, FSCONFIG_SET_STRING, 'name', name, 0);
    await create(subject, fsconfigNumber, context, FSCONFIG_CMD_CREATE, null, null, 0);
    return fsmount(subject, context, FSMOUNT_CLOEXEC, 0);
  } finally {
    closeSync(context);
  }
}
