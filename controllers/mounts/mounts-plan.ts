// Which images of a container name must be mounted and which must go. Pure.
import type { Integrity } from '../../state/desired.ts';
import {
  copiesOf,
  type FileIdentity,
  type HashTree,
  type ObservedMount,
  type ObservedPackage,
} from '../../state/observed.ts';
import type { Step, View } from '../controller.ts';
import { otherBytes } from './mounts-integrity.ts';
import { containerId } from '../../state/container-id.ts';
import type { Source } from '../../src/npk/archive/bytes.ts';

/** Mounts a package's image. `image` is null as long as the step waits for the package. */
export interface MountStep extends Step {
  readonly op: 'mount';
  /** name:version */
  readonly id: string;
  readonly image: Image | null;
}

export interface UmountStep extends Step {
  readonly op: 'umount';
  /** name:version */
  readonly id: string;
}

export type MountsStep = MountStep | UmountStep;

/** The range of a package file that holds its image, and which bytes the file must still have. */
export interface Image {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  readonly type: 'squashfs' | 'erofs';
  readonly identity: FileIdentity;
  readonly integrity: Integrity;
  /** What it is checked against; null with integrity `none`. */
  readonly tree: HashTree | null;
  readonly repository: string;
  /** The image's own device nodes are used: a `dev` mount in the manifest. */
  readonly devices: boolean;
  /** The SELinux context of all its files, where the host has SELinux. */
  readonly context: string | null;
}

/**
 * Mounts come first, so that a replacement's image is there before the old one goes. An image stays mounted as long as
 * anything uses it, and a resource until an entry or the end of its users' entries says otherwise; one whose package file is another one now is mounted anew, but only when nothing uses it. One whose
 * file was written to in place stays as it is, for all to see: only another file, or a person, takes it away.
 */
export function planMounts(view: View): MountsStep[] {
  const wanted = wantedVersions(view);
  const mounts = [...wanted].flatMap((version) => mountOf(view, version));
  const gone = view.mounts
    .filter((mount) => !wanted.has(mount.version))
    .map((mount) => umountStep(view, mount.id, usersOf(view, mount)));
  return [...mounts, ...gone];
}

function wantedVersions(view: View): Set<string> {
  const needed = [...view.mountsWanted.keys()];
  if (view.stopping) return new Set(needed);
  const own = view.targets
    .filter(({ entry }) => entry.state === 'mounted' || entry.state === 'running')
    .map(({ version, entry }) => version ?? entry.version ?? '*');
  const kept = view.mounts.filter((mount) => isKept(view, mount)).map(({ version }) => version);
  return new Set([...own, ...needed, ...kept]);
}

/** A resource stays mounted when its user has ended, as long as no entry of its own asks for less. */
function isKept({ wasUsedBy, targets, packages }: View, mount: ObservedMount): boolean {
  const found = packages.find(({ id }) => id === mount.id);
  const isStale = found !== undefined && !copiesOf(found).some((copy) => isBackedBy(mount, copy));
  return wasUsedBy.has(mount.version) && !isStale && targets.every(({ version }) => version !== mount.version);
}

function mountOf(view: View, version: string): MountsStep[] {
  const id = containerId(view.name, version);
  const target = view.targets.find((candidate) => candidate.version === version && candidate.package !== null);
  const found = target?.package ?? view.packages.find((candidate) => candidate.id === id) ?? null;
  const mount = view.mounts.find((candidate) => candidate.id === id);
  if (mount !== undefined) {
    const stale = found !== null && !isBackedBy(mount, found) && usersOf(view, mount).length === 0;
    return stale ? [umountStep(view, id, []), mountStep(view, id, found, 'an older file is still mounted')] : [];
  }
  const waits = found === null ? `${id} is not installed` : refusedBytes(view, version);
  return [mountStep(view, id, found, waits)];
}

/** Other bytes than an entry asks for, or was resolved to, are never mounted, and so never run. */
function refusedBytes(view: View, version: string): string | null {
  const target = view.targets.find((each) => each.version === version);
  return target === undefined ? null : (otherBytes(target)?.message ?? null);
}

function mountStep(view: View, id: string, found: ObservedPackage | null, waits: string | null): MountStep {
  return { op: 'mount', name: view.name, id, image: found && imageOf(found), waits };
}

function umountStep(view: View, id: string, users: readonly string[]): UmountStep {
  return { op: 'umount', name: view.name, id, waits: users.length === 0 ? null : `in use by ${users.join(', ')}` };
}

function imageOf(found: ObservedPackage): Image {
  const mounts = [...(found.manifest.mounts?.values() ?? [])];
  return {
    path: found.path,
    ...found.image,
    identity: found.identity,
    integrity: found.integrity,
    tree: found.signed?.tree ?? null,
    repository: found.repository,
    devices: mounts.some(({ type }) => type === 'dev'),
    context: found.manifest.selinux?.mount_context ?? null,
  };
}

function isBackedBy({ backing }: ObservedMount, { identity }: ObservedPackage): boolean {
  return backing !== null && backing.dev === identity.dev && backing.ino === identity.ino;
}

/** Who uses a mounted image: other containers by name, attempts of this one. A prepared attempt uses it as a running one does. */
function usersOf(view: View, { id, version }: ObservedMount): string[] {
  const own = view.attempts
    .filter(({ state }) => state !== 'exited' && state !== 'failed')
    .filter((attempt) => attempt.version === version || attempt.record.uses.includes(id))
    .map((attempt) => `attempt ${attempt.id}`);
  return [...(view.usedBy.get(version) ?? []), ...own];
}

/** Compares every block of an image with its signed tree, off this thread. Rejects with the first wrong one. */
export type VerifyImage = (
  file: Source & { readonly fd: number },
  image: { readonly offset: number },
  tree: HashTree,
  signal: AbortSignal,
) => Promise<void>;
