// One value for one file of a group: what the translations of a section's controllers give, and how each is made. Pure.
import { TerminalError } from '../failure.ts';
import { unifiedName, versionOf, type ControllerName, type Hierarchies } from './cgroup-hierarchies.ts';

/** One value for one file of a group. */
export interface Limit {
  readonly controller: ControllerName;
  readonly file: string;
  /** What is written. */
  readonly value: string;
  /** What the file shows then; null where it shows something else and is not compared. */
  readonly shown: string | null;
  /** What the file shows in a new group. */
  readonly initial: string | null;
  /** The file has a line for each device: what stands behind a device's number to take its line away. */
  readonly reset?: string;
  /** What a kernel that does not have the file has in its place. */
  readonly instead?: Instead;
}

export interface Instead {
  readonly file: string;
  readonly value: string;
  /** What the first file would show for what this one shows. */
  readonly asShown: (text: string) => string;
}

export interface Limits {
  /** For every file that a section can set: what is asked for, or else the kernel's initial value. */
  readonly limits: readonly Limit[];
  /** For a person: what the host's version of a controller has no counterpart for, and is left out. */
  readonly leftOut: readonly string[];
}

export type Translation = { limits: Limit[]; leftOut?: string[] };

/**
 * Files by name, as given. Only those of the section's own controller: `cgroup.procs` would let a package move any process
 * of the host.
 */
export function attributesOf(
  controller: ControllerName,
  attrs: Readonly<Record<string, string>> | undefined,
  hierarchies: Hierarchies,
): Limit[] {
  const prefix = `${versionOf(hierarchies, controller) === 1 ? controller : unifiedName(controller)}.`;
  return Object.entries(attrs ?? {}).map(([file, value]) => {
    if (file.startsWith(prefix) && !file.includes('/')) return written(controller, file, value);
    throw new TerminalError(
      'BadLimit',
      `cgroups: attrs of ${controller}: ${file} is not one of its files (${prefix}*)`,
    );
  });
}

export function plain(controller: ControllerName, file: string, value: string, initial: string): Limit {
  return { controller, file, value, shown: value, initial };
}

/** A value that the file does not show as it was written, or whose initial value differs from host to host. */
export function written(controller: ControllerName, file: string, value: string | number): Limit {
  return { controller, file, value: String(value), shown: null, initial: null };
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
