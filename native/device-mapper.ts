// Block devices that check what they show: the device mapper's verity target (linux/dm-ioctl.h,
// Documentation/admin-guide/device-mapper/verity.rst). Names and uuids are the caller's; nodes in /dev are nobody's.
import { readdirSync, readFileSync } from 'node:fs';
import { openCharacterDevice, type Device } from './device.ts';
import { declare, declareAsync, SyscallError } from './libc.ts';
import { hasErrno } from '../state/errno.ts';

const DM_DEV_CREATE = 3;
const DM_DEV_REMOVE = 4;
const DM_DEV_SUSPEND = 6;
const DM_TABLE_LOAD = 9;
const DM_TABLE_STATUS = 12;
const DM_GET_TARGET_VERSION = 17;

const DM_READONLY_FLAG = 1 << 0;
const DM_DEFERRED_REMOVE = 1 << 17;
/** In `event_nr`, for udev: every DM_UDEV_DISABLE_* flag. It leaves devices alone that it would probe. */
const DM_UDEV_FLAGS = 0x6f << 16;

// struct dm_ioctl: u32 version[3], data_size, data_start, target_count, s32 open_count, u32 flags, event_nr, padding,
// u64 dev, char name[128], uuid[129], data[7].
const headSize = 312;
const head = { size: 12, start: 16, targets: 20, flags: 28, event: 32, device: 40, name: 48, uuid: 176 } as const;
const nameSize = 128;
const uuidSize = 129;
// struct dm_target_spec: u64 sector_start, length, s32 status, u32 next, char target_type[16]; the parameters follow.
const specSize = 40;
const spec = { length: 8, next: 20, type: 24 } as const;

const controlMajor = 10;
const controlMinor = 236;
const sectorsOfBlock = 4096 / 512;

// Declared with three arguments though variadic: on x86-64 and AArch64 Linux both pass them in the same registers.
const ioctl = declareAsync('ioctl', 'int', ['int', 'unsigned long', 'void *']);
const quickIoctl = declare('ioctl', 'int', ['int', 'unsigned long', 'void *']);

/** This kernel has no device mapper, or none that can verify. */
export class NoDeviceMapper extends Error {}

/** A tree of hashes over blocks of 4096 bytes on one device, the data first. */
export interface VerityTree {
  readonly algorithm: string;
  /** Hex. */
  readonly rootHash: string;
  /** Hex. */
  readonly salt: string;
  readonly dataBlocks: number;
  /** Where the first hash block is, bytes. */
  readonly treeOffset: number;
}

/** A device of the device mapper. */
export interface MappedDevice {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
}

/**
 * Makes a read-only device that shows the data of another one (`MAJOR:MINOR`), every block checked when it is read: a wrong
 * one is EIO. Rejects with NoDeviceMapper or SyscallError; then nothing is left.
 */
export async function createVerityDevice(
  { name, uuid }: { readonly name: string; readonly uuid: string },
  below: string,
  tree: VerityTree,
): Promise<MappedDevice> {
  const control = openControl();
  try {
    await needVerity(control);
    const created = request(name);
    created.write(uuid.slice(0, uuidSize - 1), head.uuid, 'latin1');
    created.writeUInt32LE(DM_READONLY_FLAG, head.flags);
    await send(control, `DM_DEV_CREATE ${name}`, DM_DEV_CREATE, created);
    try {
      await send(control, `DM_TABLE_LOAD ${name}`, DM_TABLE_LOAD, tableOf(name, below, tree));
      await send(control, `DM_DEV_SUSPEND ${name}`, DM_DEV_SUSPEND, request(name));
    } catch (error) {
      await send(control, `DM_DEV_REMOVE ${name}`, DM_DEV_REMOVE, request(name));
      throw error;
    }
    return { name, ...numbersOf(created.readBigUInt64LE(head.device)) };
  } finally {
    control.close();
  }
}

/** Resolves when this kernel can make such devices. Rejects with NoDeviceMapper, or with SyscallError when we may not ask. */
export async function checkVerity(): Promise<void> {
  const control = openControl();
  try {
    await needVerity(control);
  } finally {
    control.close();
  }
}

/** Has a device go away as soon as nothing has it open any more. One that is gone is no error. Rejects with SyscallError. */
export async function removeWhenUnused(name: string): Promise<void> {
  const control = openControl();
  try {
    const buffer = request(name);
    buffer.writeUInt32LE(DM_DEFERRED_REMOVE, head.flags);
    await send(control, `DM_DEV_REMOVE ${name}`, DM_DEV_REMOVE, buffer);
  } catch (error) {
    if (!(error instanceof SyscallError && error.code === 'ENXIO')) throw error;
  } finally {
    control.close();
  }
}

/** Whether a verity device has met a block that is not the one that was signed. Throws SyscallError. */
export function isCorrupted(name: string): boolean {
  const control = openControl();
  try {
    const buffer = request(name, specSize + 1024);
    quickIoctl(`DM_TABLE_STATUS ${name}`, control.fd, numberOf(DM_TABLE_STATUS), buffer);
    const status = buffer.readUInt32LE(head.start) + specSize;
    // `V` as long as all blocks were good, `C` from the first bad one on.
    return buffer.toString('latin1', status, status + 1) === 'C';
  } finally {
    control.close();
  }
}

/** The devices of this host whose uuid begins with `prefix`. */
export function mappedDevices(prefix: string): MappedDevice[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('dm-'))
    .flatMap((name) => {
      const [major = 0, minor = 0] = attribute(`/sys/block/${name}/dev`).split(':').map(Number);
      return mappedDevice(major, minor, prefix) ?? [];
    });
}

/** The device with these numbers, if it is one of the device mapper whose uuid begins with `prefix`. */
export function mappedDevice(major: number, minor: number, prefix: string): MappedDevice | null {
  const directory = `/sys/dev/block/${major}:${minor}/dm`;
  if (!attribute(`${directory}/uuid`).startsWith(prefix)) return null;
  return { name: attribute(`${directory}/name`), major, minor };
}

/** Minor number of the loop device that a mapped device shows; null when it lies on none. */
export function loopBelow({ major, minor }: MappedDevice): number | null {
  const [below = ''] = readdirSync(`/sys/dev/block/${major}:${minor}/slaves`);
  return below.startsWith('loop') ? Number(below.slice('loop'.length)) : null;
}

/** What sysfs answers about a device that is not there, or is on its way out. */
const gone = ['ENOENT', 'ENODEV', 'EINVAL'];

/** A file of sysfs; '' when it is not there (any more). */
function attribute(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (error) {
    if (hasErrno(error, ...gone)) return '';
    throw error;
  }
}

/** Opening the node loads the driver where that is a module. */
function openControl(): Device {
  try {
    return openCharacterDevice('mapper/control', controlMajor, controlMinor);
  } catch (error) {
    if (!hasErrno(error, 'ENXIO', 'ENODEV')) throw error;
    throw new NoDeviceMapper('this kernel has no device mapper (CONFIG_BLK_DEV_DM, or modprobe dm-mod)', {
      cause: error,
    });
  }
}

async function needVerity(control: Device): Promise<void> {
  try {
    const buffer = request('verity', 1024);
    await send(control, 'DM_GET_TARGET_VERSION verity', DM_GET_TARGET_VERSION, buffer);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.code !== 'EINVAL') throw error;
    throw new NoDeviceMapper("this kernel's device mapper cannot verify (CONFIG_DM_VERITY, or modprobe dm-verity)", {
      cause: error,
    });
  }
}

function send(control: Device, subject: string, command: number, buffer: Buffer): Promise<number> {
  return ioctl(subject, control.fd, numberOf(command), buffer);
}

/** _IOWR(DM_IOCTL, command, struct dm_ioctl) */
function numberOf(command: number): number {
  return ((3 << 30) | (headSize << 16) | (0xfd << 8) | command) >>> 0;
}

/** A request about a device, with room for `space` bytes of data. */
function request(name: string, space = 0): Buffer {
  if (name.length >= nameSize) throw new Error(`${name}: too long for the name of a device`);
  const buffer = Buffer.alloc(headSize + space);
  buffer.writeUInt32LE(4, 0); // version 4.0.0: any 4.x takes it
  buffer.writeUInt32LE(buffer.length, head.size);
  buffer.writeUInt32LE(headSize, head.start);
  buffer.writeUInt32LE(DM_UDEV_FLAGS, head.event);
  buffer.write(name, head.name, 'latin1');
  return buffer;
}

/** One verity target over the whole device, read-only. */
function tableOf(name: string, below: string, tree: VerityTree): Buffer {
  const { dataBlocks, treeOffset, algorithm, rootHash, salt } = tree;
  const parameters = `1 ${below} ${below} 4096 4096 ${dataBlocks} ${treeOffset / 4096} ${algorithm} ${rootHash} ${salt || '-'}`;
  const size = Math.ceil((specSize + parameters.length + 1) / 8) * 8;
  const buffer = request(name, size);
  buffer.writeUInt32LE(1, head.targets);
  buffer.writeUInt32LE(DM_READONLY_FLAG, head.flags);
  buffer.writeBigUInt64LE(BigInt(dataBlocks * sectorsOfBlock), headSize + spec.length);
  buffer.writeUInt32LE(size, headSize + spec.next);
  buffer.write('verity', headSize + spec.type, 'latin1');
  buffer.write(parameters, headSize + specSize, 'latin1');
  return buffer;
}

/** Major and minor in the kernel's encoding (huge_encode_dev). */
function numbersOf(device: bigint): { major: number; minor: number } {
  const number = Number(device);
  return { major: (number >> 8) & 0xfff, minor: (number & 0xff) | ((number >> 12) & 0xfff00) };
}
