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
import { lstatSync, mkdirSync, readdirSync, realpathSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { hasSelinux } from '../../native/selinux.ts';
import type { ObservedMount } from '../../state/observed.ts';
import { partOf, type Controller, type Part } from '../controller.ts';
import type { Observing } from '../observing.ts';
import type { MountWatch } from './mounts-watch.ts';
import { observeMount, observeMounts } from './mounts-observe.ts';
import { createImageDevices } from './image-devices.ts';
import { planMounts, type MountsStep, type MountStep, type VerifyImage } from './mounts-plan.ts';
import { mountPackage, unmount, isNotOurs } from './mounts-act.ts';

export interface Mounts extends Controller<MountsStep> {
  observe(): Promise<Map<string, ObservedMount[]>>;
  observeOne(id: string): ObservedMount | null;
  pathOf(id: string): string;
  /** Where all of them are. */
  readonly directory: string;
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
  /** What was left half made stays as it is. */
  readonly looksOnly?: boolean;
}): Mounts {
  const directory =
    options.looksOnly === true ? realpathSync(imagesDirectory(options.runDir)) : makeDirectory(options.runDir);
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

  return {
    plan: planMounts,
    act,
    observe: () => observeMounts(directory, devices),
    observeOne: (id) => observeMount(directory, id, devices),
    pathOf,
    directory,
    sweep: devices.sweep,
  };
}

/** The controller as the reconciler uses it: the table is not read for what an act itself has changed. */
export function mountsPart(mounts: Mounts, watch: MountWatch, observing: Pick<Observing, 'mount' | 'soon'>): Part {
  return partOf<MountsStep>(mounts.plan, (step, signal) =>
    watch.during(async () => {
      await mounts.act(step, signal);
      await observing.soon(() => observing.mount(step.id, mounts.observeOne(step.id)));
    }),
  );
}

/**
 * Makes the directory, and takes out of it what a reconciler left that died between making a mount point and mounting on
 * it. The mount table shows paths without links in them, so this one has none either.
 */
function makeDirectory(runDir: string): string {
  const directory = imagesDirectory(runDir);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { dev } = statSync(directory);
  for (const id of readdirSync(directory)) {
    const path = `${directory}/${id}`;
    try {
      // What is mounted on is on another file system: an error for each would cost every start more than this look. What
      // cannot be looked at is no empty directory of ours.
      if (lstatSync(path).dev === dev) rmdirSync(path);
    } catch (error) {
      if (!isNotOurs(error) && (error as NodeJS.ErrnoException).syscall !== 'lstat') throw error;
    }
  }
  return realpathSync(directory);
}

/** The kernel refuses a context that it does not know, and one without SELinux knows none. */
function withoutContext(step: MountStep): MountStep {
  return step.image === null ? step : { ...step, image: { ...step.image, context: null } };
}

/** Where images are mounted. */
export function imagesDirectory(runDir: string): string {
  return join(runDir, 'mounts');
}
