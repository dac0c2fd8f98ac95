// The block device that an image is mounted from, by the integrity that its repository asks for:
//   none         a loop device onto the image's range of the file
//   full-check   the same, after every block of that very file has been compared with the signature
//   dm-verity    a device of the device mapper on top of the loop device, which compares every block that is read
// And back: which file a mount shows, and whether it is still what was mounted.
import { hash, randomBytes } from 'node:crypto';
import { readlinkSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { openBlockDevice } from '../../native/device.ts';
import {
  createVerityDevice,
  isCorrupted,
  loopBelow,
  mappedDevice,
  mappedDevices,
  NoDeviceMapper,
  removeWhenUnused,
} from '../../native/device-mapper.ts';
import { identityOf, sameIdentity } from '../../native/file.ts';
import { attachLoop, loopBacking, loopBackingPath, loopMajor, type LoopDevice } from '../../native/loop-device.ts';
import type { MountAt } from '../../native/statx.ts';
import type { FileIdentity, HashTree, ObservedMount } from '../../state/observed.ts';
import { TerminalError } from '../failure.ts';
import { createLanes } from './lanes.ts';
import type { Image, VerifyImage } from './mounts-plan.ts';
import { messageOf } from '../../state/errno.ts';
import type { OpenFile } from '../../state/file/in-place.ts';

export interface ImageDevices {
  /**
   * A device that shows the image in an open file. Rejects with TerminalError (BadIntegrity, NoDeviceMapper, PackageChanged),
   * SyscallError, or an Error when no loop device is free in time.
   */
  attach(id: string, file: OpenFile, image: Image, signal: AbortSignal): Promise<ImageDevice>;
  /** The file behind a mounted device, and what has become of it since. */
  look(mount: MountAt): Pick<ObservedMount, 'backing' | 'integrity'>;
  /** Takes away the devices of ours that nothing is mounted from. Rejects with SyscallError. */
  sweep(): Promise<void>;
}

/** Stays as long as it is mounted or open. */
export interface ImageDevice {
  /** Opens it. */
  readonly path: string;
  close(): Promise<void>;
}

/** What the names of devices of the device mapper begin with that belong to a runtime, named by `owner`. */
export function prefixOf(owner: string): string {
  return `northstate-${hashOf(owner)}-`;
}

/** `owner` is a path that no other runtime on this host has: devices of another one are never touched. */
export function createImageDevices(options: {
  readonly owner: string;
  readonly verifyImage: VerifyImage;
  /** ms. */
  readonly loopTimeout: number;
  readonly log: Pick<Logger, 'info'>;
}): ImageDevices {
  const { verifyImage, loopTimeout, log } = options;
  const prefix = prefixOf(options.owner);
  const checks = createLanes(availableParallelism());

  async function attach(id: string, file: OpenFile, image: Image, signal: AbortSignal): Promise<ImageDevice> {
    const { tree, integrity } = image;
    if (tree === null || integrity === 'none') return plain(await loopOf(file, image, image.size));
    if (integrity === 'full-check') {
      await check(id, file, image, tree, signal);
      // What lies behind the data has been read and checked, and is of no use to a file system.
      return plain(await loopOf(file, image, tree.superblockOffset));
    }
    return verity(id, await loopOf(file, image, image.size), tree, image.repository);
  }

  async function check(id: string, file: OpenFile, image: Image, tree: HashTree, signal: AbortSignal): Promise<void> {
    await checks(async () => {
      try {
        await verifyImage(file, image, tree, signal);
      } catch (error) {
        signal.throwIfAborted();
        const message = messageOf(error);
        throw new TerminalError('BadIntegrity', `mount ${id}: ${image.path}: ${message}`, { cause: error });
      }
    });
    if (sameIdentity(identityOf(await file.look()), image.identity)) return;
    throw new TerminalError('PackageChanged', `mount ${id}: ${image.path} has changed while it was checked`);
  }

  async function loopOf(file: OpenFile, image: Image, size: number): Promise<LoopDevice> {
    const path = readlinkSync(`/proc/self/fd/${file.fd}`);
    return attachLoop(file.fd, { offset: image.offset, size }, path, markOf(path, image.identity), loopTimeout);
  }

  /** The loop device is the mapped one's from then on, and goes with it. */
  async function verity(id: string, loop: LoopDevice, tree: HashTree, repository: string): Promise<ImageDevice> {
    const unique = randomBytes(8).toString('hex');
    const name = `${prefix}${unique}`;
    try {
      const { major, minor } = await createVerityDevice({ name, uuid: name }, `${loopMajor}:${loop.minor}`, tree);
      return await openMapped(name, major, minor);
    } catch (error) {
      if (!(error instanceof NoDeviceMapper)) throw error;
      const way = `integrity: full-check in repository ${repository} does without`;
      throw new TerminalError('NoDeviceMapper', `mount ${id}: ${error.message}; ${way}`, { cause: error });
    } finally {
      loop.close();
    }
  }

  function look({ major, minor }: MountAt): Pick<ObservedMount, 'backing' | 'integrity'> {
    if (major === loopMajor) return behind(minor);
    const mapped = mappedDevice(major, minor, prefix);
    const loop = mapped === null ? null : loopBelow(mapped);
    if (mapped === null || loop === null) return { backing: null, integrity: 'intact' };
    const found = behind(loop);
    return found.integrity === 'intact' && isCorrupted(mapped.name) ? { ...found, integrity: 'corrupted' } : found;
  }

  async function sweep(): Promise<void> {
    for (const { name } of mappedDevices(prefix)) {
      await removeWhenUnused(name);
      log.info({ device: name }, 'device of an earlier run goes as soon as it is unused');
    }
  }

  return { attach, look, sweep };
}

/** Once it is open it goes by itself: with the mount, or, if nothing is mounted from it, when it is closed. */
async function openMapped(name: string, major: number, minor: number): Promise<ImageDevice> {
  try {
    const { path, close } = openBlockDevice(`dm-${minor}`, major, minor);
    return {
      path,
      async close() {
        await removeWhenUnused(name);
        close();
      },
    };
  } catch (error) {
    await removeWhenUnused(name);
    throw error;
  }
}

function plain(loop: LoopDevice): ImageDevice {
  return { path: loop.path, close: async () => loop.close() };
}

function behind(minor: number): Pick<ObservedMount, 'backing' | 'integrity'> {
  const found = loopBacking(minor);
  if (found === null) return { backing: null, integrity: 'intact' };
  const { dev, ino, mark } = found;
  return { backing: { dev, ino }, integrity: isWritten(minor, { dev, ino }, mark) ? 'written' : 'intact' };
}

/** What the file was when it was attached, for whoever looks later, this process or the next: the loop device bears it. */
export function markOf(path: string, { size, mtimeMs, ctimeMs }: FileIdentity): string {
  return `${size} ${mtimeMs} ${ctimeMs} ${hashOf(path)}`;
}

/**
 * Whether the file has been written to since. One that was deleted or replaced has not, as far as its old name can tell. A
 * write may hide behind an old mtime but not behind ctime, which a rename changes as well: so that counts at the old path.
 */
function isWritten(minor: number, { dev, ino }: { readonly dev: number; readonly ino: number }, mark: string): boolean {
  const [size, mtimeMs, ctimeMs, place] = mark.split(' ');
  const path = loopBackingPath(minor);
  const now = path === null ? undefined : statSync(path, { throwIfNoEntry: false });
  if (path === null || now?.ino !== ino || now.dev !== dev || place === undefined) return false;
  if (String(now.size) !== size || String(now.mtimeMs) !== mtimeMs) return true;
  return String(now.ctimeMs) !== ctimeMs && hashOf(path) === place;
}

/** Eight hexadecimal digits that tell paths apart. */
function hashOf(path: string): string {
  return hash('sha256', path).slice(0, 8);
}
