// Files in memory (memfd_create(2)) and the seals that make them immutable (fcntl(2), F_ADD_SEALS).
import { declare, SyscallError } from './libc.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;
const F_SEAL_WRITE = 8;
const allSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

/** What the kernel takes of a name, for people. */
const longestName = 249;

const memfdCreate = declare('memfd_create', 'int', ['str', 'unsigned int']);
// Declared with three arguments though variadic: on x86-64 and AArch64 Linux both pass them in the same registers.
const fcntl = declare('fcntl', 'int', ['int', 'int', 'int']);

const lseek = declare('lseek', 'long', ['int', 'int64_t', 'int']);
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/**
 * Where a file in memory has data, and where that ends, in order (lseek(2)); what lies between was never written or was given back.
 * Moves the position of the file. Throws SyscallError.
 */
export function extentsOf(fd: number): [begin: number, end: number][] {
  const extents: [number, number][] = [];
  for (let at = 0; ;) {
    try {
      const begin = lseek('SEEK_DATA', fd, at, SEEK_DATA);
      at = lseek('SEEK_HOLE', fd, begin, SEEK_HOLE);
      extents.push([begin, at]);
    } catch (error) {
      if (error instanceof SyscallError && error.code === 'ENXIO') return extents; // nothing more
      throw error;
    }
  }
}

/** A new, empty file in memory; `name` shows in /proc. The descriptor is the caller's to close. Throws SyscallError. */
export function createMemoryFile(name: string): number {
  return memfdCreate(name, name.slice(0, longestName), MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/** From now on nobody can change the bytes or the length, through whatever descriptor, nor take that back. Throws SyscallError. */
export function sealMemoryFile(fd: number): void {
  fcntl('F_ADD_SEALS', fd, F_ADD_SEALS, allSeals);
}

/** Whether a file in memory can no longer change. Throws SyscallError: EINVAL when it is no such file. */
export function isSealed(fd: number): boolean {
  return (fcntl('F_GET_SEALS', fd, F_GET_SEALS, 0) & allSeals) === allSeals;
}
