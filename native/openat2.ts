// openat2(2): opening what a path leads to within bounds that the kernel keeps, whoever changes the tree meanwhile.
import { constants } from 'node:fs';
import { declareSyscall, SyscallError } from './libc.ts';

const { O_DIRECTORY, O_NOFOLLOW } = constants;
const O_PATH = 0x200000;
const O_CLOEXEC = 0x80000;
const RESOLVE_NO_XDEV = 1;
const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_NO_SYMLINKS = 4;
const RESOLVE_BENEATH = 8;
const RESOLVE_IN_ROOT = 0x10;

const openat2 = declareSyscall('openat2', 437, ['int', 'void *', 'void *', 'size_t']);

/** struct open_how; a rename or a mount may race with the resolution (EAGAIN), which is then begun anew. */
function open(directory: number, path: string | Buffer, flags: number, resolve: number, subject: string): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  const name = Buffer.concat([Buffer.from(path), Buffer.alloc(1)]);
  for (;;) {
    try {
      return openat2(subject, directory, name, how, how.length);
    } catch (error) {
      if (!(error instanceof SyscallError && (error.code === 'EAGAIN' || error.code === 'EINTR'))) throw error;
    }
  }
}

/**
 * Opens (O_PATH) what a path leads to when the directory `root` is taken for the root: neither `..` nor a link leads out of
 * it. Throws SyscallError.
 */
export function openWithin(root: number, path: string, subject: string): number {
  return open(root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, subject);
}

const oneName = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/**
 * Opens a directory for reading by its name in another. A link is not followed (ELOOP, ENOTDIR), another mount not entered
 * (EXDEV). Throws SyscallError; ENOTDIR for anything else.
 */
export function openDirectoryIn(directory: number, name: string | Buffer, subject: string): number {
  return open(directory, name, O_DIRECTORY | O_NOFOLLOW, oneName | RESOLVE_NO_XDEV, subject);
}

/** Opens (O_PATH) whatever has a name in a directory, be it a link: that is not followed. Throws SyscallError. */
export function openEntryIn(directory: number, name: string | Buffer, subject: string): number {
  try {
    // Asked for as a directory, what is mounted on demand is mounted (autofs(5)).
    return open(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, oneName, subject);
  } catch (error) {
    if (!(error instanceof SyscallError && (error.code === 'ENOTDIR' || error.code === 'ELOOP'))) throw error;
    return open(directory, name, O_PATH | O_NOFOLLOW, oneName, subject);
  }
}
