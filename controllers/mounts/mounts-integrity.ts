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

/**
 * Why a target's package must not be mounted and run: it has other bytes than the entry asks for, or, where no key speaks for
 * them, than the entry was resolved to; or that is not known yet (`known` is false). Null when it may.
 */
export function otherBytes({
  entry,
  package: found,
  digest,
}: Target): { readonly message: string; readonly known: boolean } | null {
  if (found === null) return null;
  const asked = entry.digest ?? (found.signed === null ? digest : null);
  if (asked === null || found.digest === asked) return null;
  if (found.digest === null) return { message: `${found.id} is not known to have ${asked}`, known: false };
  const message =
    entry.digest === null
      ? `${found.path} has ${found.digest}, and had ${asked} when ${entry.key} was resolved to it; northstate update ${found.name} takes it as it is`
      : `${found.path} has ${found.digest}, the document asks for ${asked}`;
  return { message, known: true };
}

/** Why a target cannot be started on its image; null when it can. */
export function refusedImage(
  view: View,
  target: Target,
): { readonly reason: 'IntegrityLost' | 'DigestMismatch'; readonly message: string } | null {
  const lost = lostImage(view, target);
  if (lost !== null) return { reason: 'IntegrityLost', message: lost };
  const other = otherBytes(target);
  return other?.known === true ? { reason: 'DigestMismatch', message: other.message } : null;
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
