// Mounted images that are no longer what was mounted: whose container must stop, and what the status says. Pure.
import type { ObservedAttempt, ObservedMount } from '../../state/observed.ts';
import type { Target, View } from '../controller.ts';

/** A new file in the place of the old one leaves what is mounted alone, and is mounted when nothing uses the old one any more. */
const cure = 'put a good file in its place by rename (cp PACKAGE FILE.new; mv FILE.new FILE), and it starts again';

/** Why a target cannot run on what is mounted, and what to do: the file of one of its images was written to. Null when none was. */
export function lostImage(view: View, target: Target): string | null {
  const written = imagesOf(view, target).find(({ integrity }) => integrity === 'written');
  return written === undefined ? null : `the file of ${written.id} was written to while it was mounted: ${cure}`;
}

/** What dm-verity has found out about the images of a target; null when nothing. Whoever reads such a block gets EIO. */
export function corruptedImage(view: View, target: Target): string | null {
  const corrupted = imagesOf(view, target).find(({ integrity }) => integrity === 'corrupted');
  return corrupted === undefined
    ? null
    : `${corrupted.id} has blocks that are not the signed ones: reading them fails (EIO)`;
}

/** Whether an attempt, which may be of an older version than its target, uses an image whose file was written to. */
export function usesLost(view: View, { version, record }: ObservedAttempt): boolean {
  const own = view.mounts.filter((mount) => mount.version === version);
  const used = [...view.resourceMounts.values()].filter(({ id }) => record.uses.includes(id));
  return [...own, ...used].some(({ integrity }) => integrity === 'written');
}

function imagesOf({ mounts, resourceMounts }: View, { version, resources }: Target): ObservedMount[] {
  const own = mounts.filter((mount) => mount.version === version);
  return [...own, ...resources.flatMap(({ id }) => resourceMounts.get(id ?? '') ?? [])];
}
