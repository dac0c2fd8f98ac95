// Detached mount trees: copies of what is mounted, with flags of their own, that travel to the launcher as descriptors.
import { declareSyscall, SyscallError } from './libc.ts';

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0x80000;
const OPEN_TREE_CLOEXEC = O_CLOEXEC;
const MS_PRIVATE = 1n << 18n;

const openTreeCall = declareSyscall('open_tree', 428, ['int', 'str', 'unsigned int']);
const mountSetattr = declareSyscall('mount_setattr', 442, ['int', 'str', 'unsigned int', 'void *', 'size_t']);

/** A copy of the mount at a path, with `recursive` of all below it as well. Throws SyscallError. */
export function openTree(path: string, recursive: boolean): number {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  return openTreeCall(path, AT_FDCWD, path, flags);
}

/** The same for an open descriptor (O_PATH will do): a bind of just that file or directory. */
export function openTreeOf(fd: number, subject: string, recursive: boolean): number {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return openTreeCall(subject, fd, '', flags);
}

/**
 * Sets MOUNT_ATTR_* on a detached tree and makes it private, so that no mount event of the host reaches it. false where the
 * kernel has no mount_setattr (before Linux 5.12). Throws SyscallError.
 */
export function setTreeAttributes(fd: number, set: number, recursive: boolean, subject: string): boolean {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(BigInt(set), 0);
  attributes.writeBigUInt64LE(MS_PRIVATE, 16);
  try {
    mountSetattr(subject, fd, '', AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), attributes, attributes.length);
    return true;
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'ENOSYS') return false;
    throw error;
  }
}
