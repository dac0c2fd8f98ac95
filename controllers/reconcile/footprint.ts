// What one name means to others: what it needs of them, and what they wait for. Pure.
import type { ObservedAttempt, ObservedMount } from '../../state/observed.ts';
import type { Target } from '../controller.ts';

export interface Footprint {
  /** Images of other names (name:version) that must be mounted for it. */
  readonly wants: readonly string[];
  /** Images of other names that its live attempts use. */
  readonly uses: readonly string[];
  /** Names whose images it may need, also those of which nothing is installed. */
  readonly resources: readonly string[];
  /** Names that it depends on. */
  readonly dependsOn: readonly string[];
  /** It runs, and nobody has told it to stop. */
  readonly up: boolean;
  /** It runs and should not. */
  readonly leaving: boolean;
  /** Packages of its entries that are not there, for a person. */
  readonly missing: readonly string[];
  /** What runs is of another entry or version than it should be. */
  readonly replaced: boolean;
}

/** The footprint of a name that nobody mentions. */
export const noFootprint: Footprint = {
  wants: [],
  uses: [],
  resources: [],
  dependsOn: [],
  up: false,
  leaving: false,
  missing: [],
  replaced: false,
};

/** The footprint of a name whose targets are resolved. */
export function footprintOf(
  targets: readonly Target[],
  attempts: readonly ObservedAttempt[],
  mounts: readonly ObservedMount[],
  stopping: boolean,
): Footprint {
  const live = attempts.filter(({ state }) => state !== 'exited' && state !== 'failed');
  const running = live.filter(({ state }) => state === 'running');
  const wanted = stopping ? undefined : targets.find(({ entry }) => entry.state === 'running');
  const resources = stopping ? [] : targets.flatMap((target) => target.resources);
  const wants = distinct(resources.flatMap(({ id }) => id ?? []));
  const uses = distinct(live.flatMap(({ record }) => record.uses));
  const replaced = wanted !== undefined && running.some(({ record }) => record.entry !== wanted.replacing);
  return {
    wants,
    uses,
    resources: distinct([...resources.map(({ name }) => name), ...uses.map(nameOf)]),
    dependsOn: distinct([
      ...(wanted?.entry.dependsOn.keys() ?? []),
      ...running.flatMap(({ record }) => record.dependsOn),
    ]),
    up: running.some(({ record }) => record.stop === null),
    leaving: running.length > 0 && wanted === undefined,
    missing: stopping ? [] : [...targets.flatMap(missingOf), ...unmountedOf(replaced ? wanted : undefined, mounts)],
    replaced,
  };
}

/** The name in name:version. */
export function nameOf(id: string): string {
  return id.slice(0, id.lastIndexOf(':'));
}

function missingOf({ key, entry, version, package: found, autostart }: Target): string[] {
  if (entry.state === 'absent' || autostart !== null) return [];
  if (found === null) return [version === null || key.endsWith(`:${version}`) ? key : `${key}:${version}`];
  return entry.digest === null || found.digest === entry.digest ? [] : [`${found.id} with ${entry.digest}`];
}

/** A replacement whose image is not mounted yet: nothing is stopped before it is. */
function unmountedOf(target: Target | undefined, mounts: readonly ObservedMount[]): string[] {
  if (target === undefined || target.package === null) return [];
  if (mounts.some(({ version }) => version === target.version)) return [];
  return [`the mount of ${target.package.id}`];
}

function distinct(items: readonly string[]): readonly string[] {
  return items.length < 2 ? items : [...new Set(items)];
}
