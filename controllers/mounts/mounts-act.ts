// The acts of the mounts controller: an image on a block device below runDir/mounts, and off again.
import { constants } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { identityOf, sameIdentity } from '../../native/file.ts';
import { SyscallError } from '../../native/libc.ts';
import { mountImage, umount } from '../../native/mount.ts';
import { mountAt } from '../../native/statx.ts';
import { TerminalError } from '../failure.ts';
import type { ImageDevices } from './image-devices.ts';
import type { Image, MountStep, UmountStep } from './mounts-plan.ts';
import { hasErrno } from '../../state/errno.ts';
import { makeDirectory, openFile, type OpenFile } from '../../state/file/in-place.ts';

export async function mountPackage(
  step: MountStep,
  target: string,
  devices: ImageDevices,
  signal: AbortSignal,
): Promise<void> {
  const { id, image } = step;
  if (image === null) throw new TerminalError('NotInstalled', `mount ${id}: the package is not installed`);
  if (isMounted(target, image, devices)) return;
  const file = await openUnchanged(id, image);
  try {
    await makeMountPoint(id, target);
    await attachAndMount(id, file, image, target, devices, signal);
  } finally {
    await file.close();
  }
}

/** The step may have been done already, by a reconciler that died before it could say so. */
function isMounted(target: string, { identity }: Image, devices: ImageDevices): boolean {
  const mount = mountAt(target);
  if (mount === null) return false;
  const { backing } = devices.look(mount);
  if (backing?.dev === identity.dev && backing.ino === identity.ino) return true;
  throw new Error(`mount ${target}: another file is mounted there`);
}

/** Opens the package and makes sure, on the very descriptor that is attached later, that it is the file that was read. */
async function openUnchanged(id: string, image: Image): Promise<OpenFile> {
  const changed = (how: string, cause?: unknown) =>
    new TerminalError('PackageChanged', `mount ${id}: ${image.path} ${how} since it was read`, { cause });
  // What else a path may name (a fifo, a terminal, a device) is never waited for.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const file = await openFile(image.path, flags).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) throw changed('has been deleted', error);
    throw error;
  });
  try {
    const stats = await file.look();
    if (!stats.isFile()) throw new Error(`${image.path} is no regular file`);
    const identity = identityOf(stats);
    if (!sameIdentity(identity, image.identity)) throw changed('has changed');
    if (image.offset + image.size > identity.size) {
      throw new TerminalError('BadImage', `mount ${id}: ${image.path} ends before its image does`);
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function makeMountPoint(id: string, target: string): Promise<void> {
  try {
    // With those above it: somebody may have emptied runDir.
    await makeDirectory(target, 0o700);
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return;
    if (hasErrno(error, 'ENAMETOOLONG')) {
      throw new TerminalError('BadName', `mount ${id}: name:version may have 255 characters at most`, { cause: error });
    }
    throw error;
  }
}

/** Once it is mounted, the mount alone keeps the device; if anything fails, closing it takes it away. */
async function attachAndMount(
  id: string,
  file: OpenFile,
  image: Image,
  target: string,
  devices: ImageDevices,
  signal: AbortSignal,
): Promise<void> {
  try {
    const device = await devices.attach(id, file, image, signal);
    try {
      await mountImage(device.path, target, image);
    } finally {
      await device.close();
    }
  } catch (error) {
    await removeMountPoint(target);
    throw explain(id, image, error);
  }
}

/** What the kernel answers to bytes that are no image, or none that it can read. */
const badImage = new Set(['EINVAL', 'EIO', 'EUCLEAN', 'EBADMSG']);

function explain(id: string, image: Image, error: unknown): unknown {
  if (!(error instanceof SyscallError) || error.call !== 'mount') return error;
  if (error.code === 'ENODEV') {
    const message = `mount ${id}: this kernel has no ${image.type} (CONFIG_${image.type.toUpperCase()})`;
    return new TerminalError('UnsupportedImage', message, { cause: error });
  }
  if (!badImage.has(error.code)) return error;
  if (image.context !== null && error.code === 'EINVAL') {
    const message = `mount ${id}: EINVAL: the SELinux policy does not know ${image.context}, or ${image.path} holds no image`;
    return new TerminalError('BadImage', message, { cause: error });
  }
  const message = `mount ${id}: ${error.code}: ${image.path} holds no ${image.type} image that this kernel can read`;
  return new TerminalError('BadImage', message, { cause: error });
}

export async function unmount(step: UmountStep, target: string): Promise<void> {
  try {
    await umount(target);
  } catch (error) {
    // Nothing is mounted there: the step has been done already.
    if (!hasErrno(error, 'EINVAL') && !hasErrno(error, 'ENOENT')) throw error;
  }
  // A mount below this one is seen now and has its own step.
  if (mountAt(target) === null) await removeMountPoint(target);
}

async function removeMountPoint(target: string): Promise<void> {
  try {
    await rmdir(target);
  } catch (error) {
    if (!isNotOurs(error)) throw error;
  }
}

/** What is gone, is no directory, is not empty or is mounted on is not ours to remove. */
export function isNotOurs(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EBUSY', 'ENOTEMPTY'].some((code) => hasErrno(error, code));
}
