// What the boot player has left for the reconciler: what it has started, and what not, and why.
import { fstatSync, readSync } from 'node:fs';

/** `began` and `ended` are CLOCK_BOOTTIME in ms. */
export interface Played {
  readonly began: number;
  readonly ended: number;
  /** Why nothing was played at all. */
  readonly refused: string | null;
  /** Images (name:version), containers and their sandboxes (name); null: it was played, else why it was left. */
  readonly units: readonly (readonly [name: string, why: string | null, started: boolean])[];
}

/** The player's report in a file; null for one that is no report. */
export function readPlayed(fd: number): Played | null {
  const bytes = Buffer.alloc(fstatSync(fd).size);
  readSync(fd, bytes, 0, bytes.length, 0);
  try {
    return JSON.parse(bytes.toString()) as Played;
  } catch {
    return null;
  }
}

/** Containers that were started. */
export function startedIn({ units }: Played): readonly string[] {
  return units.filter(([, , started]) => started).map(([name]) => name);
}
