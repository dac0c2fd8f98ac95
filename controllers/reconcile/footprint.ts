// What one name means to others: what it needs of them, and what they wait for. Pure.
import { hasEnded, hasSucceeded, isOf, type Remembered } from '../../state/ended-run.ts';
import { readyAt } from '../containers/readiness.ts';
import type { Target } from '../controller.ts';
import { otherBytes } from '../mounts/mounts-integrity.ts';
import { containerName } from '../../state/container-id.ts';

export interface Footprint {
  /** Images of other names (name:version) that must be mounted for it. */
  readonly wants: readonly string[];
  /** Images of other names that its live attempts use. */
  readonly uses: readonly string[];
  /** Those that its last attempt has used, which has ended: mounted as they are they may stay. */
  readonly used: readonly string[];
  /** Names whose images it may need, also those of which nothing is installed. */
  readonly resources: readonly string[];
  /** Names that it depends on. */
  readonly dependsOn: readonly string[];
  /** It runs, and nobody has told it to stop. */
  readonly up: boolean;
  /** When what runs is ready (CLOCK_BOOTTIME in ms), maybe yet to come; null = it is not known to be, or nothing runs. */
  readonly readyAt: number | null;
  /** Its last run has ended with 0, and nothing answers that. */
  readonly succeeded: boolean;
  /** The attempt that has run last, or runs; 0 = none has. */
  readonly lastRun: number;
  /** It runs and should not. */
  readonly leaving: boolean;
  /** The package of one of its entries is not there. */
  readonly lacking: boolean;
}

/** The footprint of a name that nobody mentions. */
export const noFootprint: Footprint = {
  wants: [],
  uses: [],
  used: [],
  resources: [],
  dependsOn: [],
  up: false,
  readyAt: null,
  succeeded: false,
  lastRun: 0,
  leaving: false,
  lacking: false,
};

/** The footprint of a name whose targets are resolved. */
export function footprintOf(targets: readonly Target[], remembered: Remembered, stopping: boolean): Footprint {
  const { attempts } = remembered;
  const live = attempts.filter(({ state }) => state !== 'exited' && state !== 'failed');
  const running = live.filter(({ state }) => state === 'running');
  // What somebody runs once is nobody's dependency.
  const own = attempts.filter((attempt) => isOf(null, attempt));
  const up = own.find(({ state, record }) => state === 'running' && record.stop === null);
  const wanted = stopping ? undefined : targets.find(({ entry }) => entry.state === 'running');
  const resources = stopping ? [] : targets.flatMap((target) => target.resources);
  const asking = targets.filter(({ entry }) => entry.state !== 'running' || !hasEnded(entry, remembered));
  const wants = distinct(stopping ? [] : asking.flatMap((target) => target.resources).flatMap(({ id }) => id ?? []));
  const uses = distinct(live.flatMap(({ record }) => record.uses));
  const used = stopping ? [] : distinct(attempts.flatMap(({ record }) => record.uses));
  return {
    wants,
    uses,
    used,
    resources: distinct([...resources.map(({ name }) => name), ...[...uses, ...used].map(containerName)]),
    dependsOn: distinct([
      ...(wanted?.entry.dependsOn.keys() ?? []),
      ...running.flatMap(({ record }) => record.dependsOn),
    ]),
    up: up !== undefined,
    readyAt: up === undefined || wanted === undefined ? null : readyAt(up, wanted),
    succeeded: wanted !== undefined && hasSucceeded(wanted.entry, remembered),
    lastRun: own.findLast(({ startedAt }) => startedAt > 0)?.id ?? 0,
    leaving: running.length > 0 && wanted === undefined,
    lacking: !stopping && targets.some(isLacking),
  };
}

function isLacking(target: Target): boolean {
  if (target.entry.state === 'absent' || target.autostart !== null) return false;
  return target.package === null || otherBytes(target) !== null;
}

function distinct(items: readonly string[]): readonly string[] {
  return items.length < 2 ? items : [...new Set(items)];
}
