// Loop devices: block devices onto a range of a file (loop(4), linux/loop.h).
import { constants, readFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { declare, declareAsync, SyscallError } from './libc.ts';
import { bootTime } from './clock.ts';
import { openBlockDevice } from './device.ts';
import { hasErrno } from '../state/errno.ts';
import { createSerialQueue } from '../state/serial-queue.ts';

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_GET_STATUS64 = 0x4c05;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
export const loopMajor = 7;

// struct loop_config: u32 fd, u32 block_size, struct loop_info64, u64 reserved[8]. Offsets of loop_info64 below.
const loopConfigSize = 304;
const infoOffset = 8;
const infoSize = 232;
const info = { device: 0, inode: 8, offset: 24, sizeLimit: 32, flags: 52, fileName: 56 } as const;
const fileNameSize = 64;

// Declared with three arguments though variadic: on x86-64 and AArch64 Linux both pass them in the same registers.
const ioctl = declareAsync('ioctl', 'int', ['int', 'unsigned long', 'void *']);
const getStatus = declare('ioctl', 'int', ['int', 'unsigned long', 'void *']);

/** An attached loop device. It detaches by itself once it is closed and no mount is left on it. */
export interface LoopDevice {
  /** A path that opens the device, valid until it is closed. */
  readonly path: string;
  readonly minor: number;
  close(): void;
}

/**
 * Attaches a read-only loop device to `size` bytes at `offset` of an open file. The device bears `mark` (63 bytes) as long
 * as it is attached: whoever finds it later can read it.
 * Looking for a free device and taking it are two steps, between which any other process may take it: then the next one is
 * tried, until `timeout` ms have passed. Rejects with SyscallError, or with an Error when the time is up.
 */
export async function attachLoop(
  file: number,
  range: { readonly offset: number; readonly size: number },
  name: string,
  mark: string,
  timeout: number,
): Promise<LoopDevice> {
  const config = Buffer.alloc(loopConfigSize);
  config.writeUInt32LE(file, 0);
  config.writeBigUInt64LE(BigInt(range.offset), infoOffset + info.offset);
  config.writeBigUInt64LE(BigInt(range.size), infoOffset + info.sizeLimit);
  config.writeUInt32LE(LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR, infoOffset + info.flags);
  config.write(mark.slice(0, fileNameSize - 1), infoOffset + info.fileName, 'latin1');
  return attaching.run(() => takeFree(config, name, timeout));
}

/** One at a time within this process: attaching takes a fraction of a millisecond, racing against ourselves takes longer. */
const attaching = createSerialQueue();

async function takeFree(config: Buffer, name: string, timeout: number): Promise<LoopDevice> {
  const deadline = bootTime() + timeout;
  const control = await openControl();
  try {
    for (;;) {
      // The kernel makes another device when all are taken, so there is always a free one to name.
      const minor = await ioctl('/dev/loop-control LOOP_CTL_GET_FREE', control.fd, LOOP_CTL_GET_FREE, null);
      const device = await tryConfigure(minor, config, name);
      if (device !== null) return device;
      // Each failure means that somebody else got a device: the loop makes progress and needs no pause.
      if (bootTime() > deadline) throw new Error(`${name}: no free loop device within ${timeout} ms`);
    }
  } finally {
    await control.close();
  }
}

async function openControl(): Promise<FileHandle> {
  try {
    return await open('/dev/loop-control', constants.O_RDWR);
  } catch (error) {
    const hint = 'loop devices are needed for images: modprobe loop, or CONFIG_BLK_DEV_LOOP and a node in /dev';
    throw new Error(`/dev/loop-control cannot be opened: ${hint}`, { cause: error });
  }
}

/** Null when another process was faster. */
async function tryConfigure(minor: number, config: Buffer, name: string): Promise<LoopDevice | null> {
  const device = openBlockDevice(`loop${minor}`, loopMajor, minor);
  try {
    await ioctl(`${device.path} LOOP_CONFIGURE ${name}`, device.fd, LOOP_CONFIGURE, config);
    return { path: device.path, minor, close: device.close };
  } catch (error) {
    device.close();
    if (error instanceof SyscallError && error.code === 'EBUSY') return null;
    throw error;
  }
}

/** The file behind a loop device. */
export interface LoopBacking {
  /** As stat(2) shows them. */
  readonly dev: number;
  readonly ino: number;
  readonly mark: string;
}

/** The file behind an attached loop device; null when the device is not attached. Throws SyscallError. */
export function loopBacking(minor: number): LoopBacking | null {
  const status = Buffer.alloc(infoSize);
  const device = openBlockDevice(`loop${minor}`, loopMajor, minor);
  try {
    getStatus(`${device.path} LOOP_GET_STATUS64`, device.fd, LOOP_GET_STATUS64, status);
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'ENXIO') return null;
    throw error;
  } finally {
    device.close();
  }
  const name = status.toString('latin1', info.fileName, info.fileName + fileNameSize);
  return {
    dev: Number(status.readBigUInt64LE(info.device)),
    ino: Number(status.readBigUInt64LE(info.inode)),
    mark: name.slice(0, name.indexOf('\0')),
  };
}

/**
 * Where the file behind a loop device is now, also after a rename (Documentation/ABI/testing/sysfs-block, loop/backing_file);
 * a deleted one has ` (deleted)` at the end. Null when the device is not attached.
 */
export function loopBackingPath(minor: number): string | null {
  try {
    return readFileSync(`/sys/block/loop${minor}/loop/backing_file`, 'utf8').replace(/\n$/, '');
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENODEV')) return null;
    throw error;
  }
}
