// mount(2) and umount2(2), on koffi's threads: either may wait for a disk.
import { declareAsync } from './libc.ts';

const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const UMOUNT_NOFOLLOW = 8;

const mount = declareAsync('mount', 'int', ['str', 'str', 'str', 'unsigned long', 'str']);
const umount2 = declareAsync('umount2', 'int', ['str', 'int']);

/** MS_* of an image: read-only and nosuid; device nodes in it work only with `devices`. */
export function imageFlags(devices: boolean): number {
  return MS_RDONLY | MS_NOSUID | (devices ? 0 : MS_NODEV);
}

/** `context` is the SELinux context of all its files, null = they have none of ours. */
export function imageOptions(context: string | null): string | null {
  return context === null ? null : `context=${context}`;
}

/** Mounts the file system on a block device as imageFlags and imageOptions say. Rejects with SyscallError. */
export async function mountImage(
  device: string,
  target: string,
  { type, devices, context }: { type: 'squashfs' | 'erofs'; devices: boolean; context: string | null },
): Promise<void> {
  await mount(`${type} of ${device} on ${target}`, device, target, type, imageFlags(devices), imageOptions(context));
}

/** Takes the topmost mount off a path. Rejects with SyscallError: EBUSY in use, EINVAL nothing is mounted there, ENOENT no such path. */
export async function umount(target: string): Promise<void> {
  await umount2(target, target, UMOUNT_NOFOLLOW);
}
