// What a container waits for of those that it depends on. Pure.
import type { ContainerEntry, Dependency } from '../../state/desired.ts';
import type { Footprint } from './footprint.ts';

export interface Gates {
  /** Names that have not come to what is asked of them. */
  readonly down: readonly string[];
  /** When one of them comes to it by time alone (CLOCK_BOOTTIME in ms), null = none does. */
  readonly opensAt: number | null;
}

/** The gates of an entry at `now`; an entry without dependencies has none. */
export function gatesOf(entry: ContainerEntry | undefined, of: (name: string) => Footprint, now: number): Gates {
  const down: string[] = [];
  const times: number[] = [];
  for (const [name, asked] of entry?.dependsOn ?? []) {
    const footprint = of(name);
    if (hasCome(footprint, asked, now)) continue;
    down.push(name);
    if (asked === 'ready' && footprint.readyAt !== null && footprint.readyAt > now) times.push(footprint.readyAt);
  }
  return { down, opensAt: times.length === 0 ? null : Math.min(...times) };
}

function hasCome({ up, readyAt, succeeded }: Footprint, asked: Dependency, now: number): boolean {
  if (asked === 'succeeded') return succeeded;
  return up && (asked === 'running' || (readyAt !== null && readyAt <= now));
}

/** The newest run of each name whose new instance replaces this one's, by its attempt. */
export function partnersOf(
  entry: ContainerEntry | undefined,
  of: (name: string) => Footprint,
): ReadonlyMap<string, number> {
  return new Map((entry?.restartWith ?? []).map((name) => [name, of(name).lastRun] as const));
}
