// Which images are mounted: the kernel's mount table, and what the device of each says.
import type { MountAt } from '../../native/statx.ts';
import type { ObservedMount } from '../../state/observed.ts';
import { join, posix } from 'node:path';
import { readMountTable } from '../../native/mounts-table.ts';
import { mountAt } from '../../native/statx.ts';
import type { ImageDevices } from './image-devices.ts';
import { parseContainerId } from '../../state/container-id.ts';

/** Every image that is mounted in `directory`, by container name. */
export async function observeMounts(directory: string, devices: ImageDevices): Promise<Map<string, ObservedMount[]>> {
  // Of two mounts on one target only the later one can be seen.
  const seen = new Map<string, MountAt>();
  for (const entry of readMountTable()) {
    if (posix.dirname(entry.target) === directory) seen.set(posix.basename(entry.target), entry);
  }
  const found = [...seen].map(([id, mount]) => describe(id, join(directory, id), mount, devices));
  return Map.groupBy(
    found.filter((mount) => mount !== null),
    ({ name }) => name,
  );
}

/** One image, by statx(2) of its mount point; null = it is not mounted. */
export function observeMount(directory: string, id: string, devices: ImageDevices): ObservedMount | null {
  const target = join(directory, id);
  const mount = mountAt(target);
  return mount === null ? null : describe(id, target, mount, devices);
}

/** Null when `id` is no name:version: somebody else's mount. */
function describe(id: string, target: string, mount: MountAt, devices: ImageDevices): ObservedMount | null {
  const parts = parseContainerId(id);
  if (parts === null) return null;
  return { id, ...parts, mountId: mount.mountId, target, ...devices.look(mount) };
}
