// Files in memory (memfd_create(2)) and the seals that make them immutable (fcntl(2), F_ADD_SEALS).
import { declare } from './libc.ts';

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
