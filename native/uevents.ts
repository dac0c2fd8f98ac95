// What the kernel tells of devices: uevents over netlink (netlink(7), NETLINK_KOBJECT_UEVENT).
import { declare, SyscallError } from './libc.ts';

const AF_NETLINK = 16;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const NETLINK_KOBJECT_UEVENT = 15;
const MSG_DONTWAIT = 0x40;
/** The group to which the kernel itself speaks; udev's daemon speaks to another one. */
const kernelGroup = 1;
const longestMessage = 8192;

const socket = declare('socket', 'int', ['int', 'int', 'int']);
const bind = declare('bind', 'int', ['int', 'void *', 'unsigned int']);
const recv = declare('recv', 'long', ['int', 'void *', 'size_t', 'int']);

/** A socket that is readable when there are uevents. The descriptor is the caller's to close. Throws SyscallError. */
export function openUevents(): number {
  const fd = socket('uevents', AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  // struct sockaddr_nl: u16 family, u16 pad, u32 pid, u32 groups.
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(kernelGroup, 8);
  bind('uevents', fd, address, address.length);
  return fd;
}

/**
 * Reads all that have come; gives whether one of them may be of a block that dm-verity refused (DM_VERITY_ERR_BLOCK_NR,
 * drivers/md/dm-verity-target.c): also when some were lost. Throws SyscallError.
 */
export function readVerityErrors(fd: number): boolean {
  const message = Buffer.alloc(longestMessage);
  let found = false;
  for (;;) {
    try {
      const length = recv('uevents', fd, message, message.length, MSG_DONTWAIT);
      found ||= message.subarray(0, length).includes('\0DM_VERITY_ERR_BLOCK_NR=');
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      if (error.code === 'EAGAIN') return found;
      if (error.code !== 'ENOBUFS') throw error;
      found = true;
    }
  }
}
