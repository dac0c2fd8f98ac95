// Whether this kernel has a system call, found out by making it with arguments that no kernel accepts.
import { declareSyscall, SyscallError } from './libc.ts';
import { syscallNumber } from './numbers.ts';

/** Those that the launcher and the reconciler make and that a kernel, or a filter around us, may lack. */
const numbers = {
  clone3: 435,
  close_range: 436,
  execveat: { x64: 322, arm64: 281 },
  fsconfig: 431,
  fsmount: 432,
  fsopen: 430,
  memfd_create: { x64: 319, arm64: 279 },
  mount_setattr: 442,
  move_mount: 429,
  open_tree: 428,
  openat2: 437,
  pidfd_open: 434,
  pidfd_send_signal: 424,
  seccomp: { x64: 317, arm64: 277 },
  statx: { x64: 332, arm64: 291 },
} as const;

export type SyscallName = keyof typeof numbers;

/** False when the kernel answers ENOSYS: it has no such call, or a seccomp filter says so. Nothing else happens. */
export function hasSyscall(name: SyscallName): boolean {
  const number = numbers[name];
  const call = declareSyscall(name, typeof number === 'number' ? number : syscallNumber(name, number), [
    'long',
    'long',
    'long',
    'long',
    'long',
  ]);
  try {
    call('', -1, 0, 0, 0, 0);
    return true;
  } catch (error) {
    return !(error instanceof SyscallError && error.code === 'ENOSYS');
  }
}
