// The sandbox that a start uses: what it is made from, which of those that are there fits, what must be observed before one
// can be made. Pure.
import { hash } from 'node:crypto';
import { contentHash, type ContainerEntry } from '../../state/desired.ts';
import type { ObservedAttempt, ObservedMount, ObservedPackage } from '../../state/observed.ts';
import type { Cgroups } from '../../state/schema/manifest.ts';
import { isMisplaced, sectionOf } from '../cgroups/cgroups-plan.ts';
import type { Target, View } from '../controller.ts';
import { lostImage, otherBytes } from '../mounts/mounts-integrity.ts';
import { restoreWaits } from '../kept-data/kept-data-plan.ts';
import { asksForRun, isOf } from '../../state/ended-run.ts';

/** What the planners can see of the things that a sandbox is made from, as a hash and the ids of mounts; null while one of them is not there. */
export function madeOf(view: View, target: Target): string | null {
  return prepareWaits(view, target) === null ? madeFrom(view, target, ({ mountId }) => String(mountId)) : null;
}

/**
 * The same with what tells a mount from a later one of the same image. Everything else of it is the same after a boot, in which
 * devices may have other numbers.
 */
export function madeFrom(view: View, target: Target, numberOf: (mount: ObservedMount) => string): string {
  const mounts = [ownMount(view, target), ...target.resources.map(({ id }) => view.resourceMounts.get(id ?? ''))];
  const file = target.package && { ...target.package.identity, dev: 0 };
  // Its groups are those that were asked for when it was made, where they were asked for, and set up as asked.
  const section = sectionOf(target);
  const parts = [
    target.replacing,
    file,
    mounts.map((mount) => mount?.id),
    ...(section === null ? [] : [groupsOf(section)]),
  ];
  const numbers = mounts.map((mount) => (mount === undefined ? '' : numberOf(mount)));
  return `${hash('sha256', JSON.stringify(parts)).slice(0, 32)} ${numbers.join(' ')}`;
}

const hashes = new WeakMap<Cgroups, string>();

function groupsOf(section: Cgroups): string {
  const known = hashes.get(section) ?? contentHash(section);
  hashes.set(section, known);
  return known;
}

/** What must be observed before the sandbox of a target can be made; null when everything is there. */
export function prepareWaits(view: View, target: Target): string | null {
  if (target.version === null || target.package === null) {
    return `${target.key}${target.version === null ? '' : `:${target.version}`} is not installed`;
  }
  const other = otherBytes(target);
  if (other !== null) return other.message;
  const data = restoreWaits(view);
  if (data !== null) return data;
  if (isMisplaced(view, target)) return `its groups are not yet gone from ${view.cgroup?.place ?? 'where they were'}`;
  const mount = ownMount(view, target);
  if (mount === undefined) return `${target.package.id} is not mounted`;
  if (isStale(mount, target.package)) return `an older file of ${mount.id} is still mounted`;
  const lost = lostImage(view, target);
  if (lost !== null) return lost;
  for (const { id, name, requirement } of target.resources) {
    if (id === null) return `no installed version of the resource ${name} matches ${requirement}`;
    if (!view.resourceMounts.has(id)) return `the resource ${id} is not mounted`;
  }
  return null;
}

/** The package file has been replaced by another one of the same version since its image was mounted. */
export function isStale({ backing }: ObservedMount, { identity }: ObservedPackage): boolean {
  return backing?.dev !== identity.dev || backing.ino !== identity.ino;
}

export function ownMount(view: View, { version }: Target) {
  return view.mounts.find((mount) => mount.version === version);
}

/**
 * The sandbox that the next start uses: made from what is there now, and armed for nothing else than the present instance.
 * One that is being started is only that of the very run that is asked for.
 */
export function candidateOf(
  view: View,
  { entry }: Target,
  made: string,
  current: ObservedAttempt | null,
): ObservedAttempt | null {
  const fits = (attempt: ObservedAttempt): boolean => {
    const { record, after } = attempt;
    if (!isSandbox(attempt) || record.made !== made) return false;
    if (startsByItself(attempt)) return current === null && entry.state === 'running' && !asksForRun(entry, record.run);
    return after === 0 || current === null || after === current.id;
  };
  return view.attempts.findLast(fits) ?? null;
}

/** A package without one is a resource: there is nothing to run in it, unless the entry names something. */
export function hasInit({ init, run }: ContainerEntry, found: ObservedPackage | null): boolean {
  return (run?.init ?? init ?? found?.manifest.init ?? null) !== null;
}

export function isSandbox({ state }: ObservedAttempt): boolean {
  return state === 'prepared' || state === 'preparing';
}

/** An earlier reconciler had it started, and did not see how that ended. */
export function startsByItself(attempt: ObservedAttempt): boolean {
  return isSandbox(attempt) && attempt.going && attempt.after === 0;
}

/** A run that is none of the entry's, or a sandbox that is to be discarded and may start all the same until then. */
export function leavingWaits({ attempts }: View, { entry }: Target, candidate: ObservedAttempt | null): string | null {
  const other = attempts.find((attempt) => attempt.state === 'running' && !isOf(entry, attempt));
  if (other !== undefined) return `attempt ${other.id} has not ended`;
  const leaving = attempts.find((attempt) => attempt !== candidate && startsByItself(attempt));
  return leaving === undefined ? null : `attempt ${leaving.id} is not discarded`;
}
