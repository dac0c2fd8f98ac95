// Flags of files as chattr(1) sets them (ioctl_iflags(2)).
import { closeSync, constants, openSync } from 'node:fs';
import { declare } from '../../native/libc.ts';

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
export const FS_IMMUTABLE = 0x10;
export const FS_APPEND = 0x20;
export const FS_NODUMP = 0x40;

const ioctl = declare('ioctl', 'int', ['int', 'unsigned long', 'void *']);

/** Those that a file or a directory has. */
export function flagsOf(path: string): number {
  const flags = new Int32Array(2);
  withFile(path, (fd) => ioctl(path, fd, FS_IOC_GETFLAGS, flags));
  return flags[0] ?? 0;
}

/** Has it have these beside its own. */
export function setFlags(path: string, flags: number): void {
  const all = new Int32Array([flagsOf(path) | flags, 0]);
  withFile(path, (fd) => ioctl(path, fd, FS_IOC_SETFLAGS, all));
}

function withFile(path: string, act: (fd: number) => void): void {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    act(fd);
  } finally {
    closeSync(fd);
  }
}
