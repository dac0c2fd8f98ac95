// The mounts controller: package images on block devices below runDir/mounts, in the mount namespace of this process.
//
//   createMounts({ runDir, log, verifyImage, loopTimeout? }): Mounts
//     plan(view)       pure, see mounts-plan.ts
//     act(step)        mount: TerminalError (reasons PackageChanged, BadIntegrity, NoDeviceMapper, BadImage, UnsupportedImage) or
//                      SyscallError; umount: SyscallError
//     sweep()          takes away devices that a dead runtime has left; for the start
//     observe()        every mounted image, by container name: the whole mount table, for the start and after its events
//     observeOne(id)   one image by statx(2), for events of our own making
//     pathOf(id)       where an image is mounted
import { mkdirSync, readdirSync, realpathSync, rmdirSync } from 'node:fs';
import { mkdir, open, rmdir, type FileHandle } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { Logger } from 'pino';
import { identityOf, sameIdentity } from '../../native/file.ts';
import { SyscallError } from '../../native/libc.ts';
import { mountImage, umount } from '../../native/mount.ts';
import { readMountTable } from '../../native/mounts-table.ts';
import { hasSelinux } from '../../native/selinux.ts';
import { mountAt, type MountAt } from '../../native/statx.ts';
import type { ObservedMount } from '../../state/observed.ts';
import type { Controller } from '../controller.ts';
import { TerminalError } from '../failure.ts';
import { createImageDevices, type ImageDevices, type VerifyImage } from './image-devices.ts';
import { planMounts, type Image, type MountsStep, type MountStep, type UmountStep } from './mounts-plan.ts';

export interface Mounts extends Controller<MountsStep> {
  observe(): Promise<Map<string, ObservedMount[]>>;
  observeOne(id: string): ObservedMount | null;
  pathOf(id: string): string;
  sweep(): Promise<void>;
}

/**
 * Images are mounted on `runDir`/mounts/NAME:VERSION. `loopTimeout` in ms: how long a free loop device is looked for.
 * `selinux` says whether contexts mean something here.
 */
export function createMounts(options: {
  readonly runDir: string;
  readonly log: Pick<Logger, 'debug' | 'info'>;
  readonly verifyImage: VerifyImage;
  readonly loopTimeout?: number;
  readonly selinux?: boolean;
}): Mounts {
  const directory = makeDirectory(options.runDir);
  const pathOf = (id: string) => join(directory, id);
  const { verifyImage, loopTimeout = 10_000, selinux = hasSelinux(), log } = options;
  const devices = createImageDevices({ owner: directory, verifyImage, loopTimeout, log });

  async function act(step: MountsStep, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (step.op === 'mount')
      await mountPackage(selinux ? step : withoutContext(step), pathOf(step.id), devices, signal);
    else await unmount(step, pathOf(step.id));
    log.debug({ container: step.id }, step.op === 'mount' ? 'image mounted' : 'image unmounted');
  }

  async function observe(): Promise<Map<string, ObservedMount[]>> {
    // Of two mounts on one target only the later one can be seen.
    const seen = new Map<string, MountAt>();
    for (const entry of await readMountTable()) {
      if (posix.dirname(entry.target) === directory) seen.set(posix.basename(entry.target), entry);
    }
    const found = [...seen].map(([id, mount]) => describe(id, pathOf(id), mount, devices));
    return Map.groupBy(
      found.filter((mount) => mount !== null),
      ({ name }) => name,
    );
  }

  function observeOne(id: string): ObservedMount | null {
    const mount = mountAt(pathOf(id));
    return mount === null ? null : describe(id, pathOf(id), mount, devices);
  }

  return { plan: planMounts, act, observe, observeOne, pathOf, sweep: devices.sweep };
}

/**
 * Makes the directory, and takes out of it what a reconciler left that died between making a mount point and mounting on
 * it. The mount table shows paths without links in them, so this one has none either.
 */
function makeDirectory(runDir: string): string {
  const directory = join(runDir, 'mounts');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const id of readdirSync(directory)) {
    try {
      rmdirSync(join(directory, id));
    } catch (error) {
      if (!isNotOurs(error)) throw error;
    }
  }
  return realpathSync(directory);
}

/** Null when `id` is no name:version: somebody else's mount. */
function describe(id: string, target: string, mount: MountAt, devices: ImageDevices): ObservedMount | null {
  const [name, version, ...rest] = id.split(':');
  if (name === undefined || version === undefined || rest.length > 0) return null;
  return { id, name, version, mountId: mount.mountId, target, ...devices.look(mount) };
}

/** The kernel refuses a context that it does not know, and one without SELinux knows none. */
function withoutContext(step: MountStep): MountStep {
  return step.image === null ? step : { ...step, image: { ...step.image, context: null } };
}

async function mountPackage(
  step: MountStep,
  target: string,
  devices: ImageDevices,
  signal: AbortSignal,
): Promise<void> {
  const { id, image } = step;
  if (image === null) throw new TerminalError('PackageMissing', `mount ${id}: the package is not installed`);
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
async function openUnchanged(id: string, image: Image): Promise<FileHandle> {
  const changed = (how: string, cause?: unknown) =>
    new TerminalError('PackageChanged', `mount ${id}: ${image.path} ${how} since it was read`, { cause });
  const file = await open(image.path, 'r').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) throw changed('has been deleted', error);
    throw error;
  });
  try {
    const identity = identityOf(await file.stat());
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
    await mkdir(target, { mode: 0o700 });
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return;
    if (hasCode(error, 'ENAMETOOLONG')) {
      throw new TerminalError('BadName', `mount ${id}: name:version may have 255 characters at most`, { cause: error });
    }
    throw error;
  }
}

/** Once it is mounted, the mount alone keeps the device; if anything fails, closing it takes it away. */
async function attachAndMount(
  id: string,
  file: FileHandle,
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

async function unmount(step: UmountStep, target: string): Promise<void> {
  try {
    await umount(target);
  } catch (error) {
    // Nothing is mounted there: the step has been done already.
    if (!hasCode(error, 'EINVAL') && !hasCode(error, 'ENOENT')) throw error;
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
function isNotOurs(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EBUSY', 'ENOTEMPTY'].some((code) => hasCode(error, code));
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
