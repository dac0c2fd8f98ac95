// Control groups of a test's own: what a container has them do, and that nothing of them stays.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync, writeSync } from 'node:fs';
import { afterEach, beforeEach } from 'node:test';
import { pino } from 'pino';
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import { createCgroups, type Cgroups, type Leaf } from '../../controllers/cgroups/cgroups.ts';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import { removeGroups } from './leftover-groups.ts';
import { leftovers, openDescriptors } from './leaks.ts';
import { probe } from './packages.ts';
import { detectHierarchies } from '../../controllers/cgroups/cgroups-observe.ts';

const payload = await probe();

/** What this host offers. */
export const hierarchies: Hierarchies = detectHierarchies();

export interface ControlGroups {
  /** The name of our directory in every hierarchy. */
  readonly root: string;
  readonly cgroups: Cgroups;
  /** What was logged as a warning, lines of JSON. */
  readonly warnings: string[];
  /** One more runtime on the same groups; `host` is what it thinks that this host offers. */
  open(host?: Hierarchies, placesFile?: string, owner?: string): Cgroups;
  /** The probe in a leaf, stopped before it runs its program: it waits for a line on its standard input. */
  start(leaf: Leaf, ...program: string[]): ChildProcess;
  /** Writes limits as the launcher does at the start of an application; gives `file value` for each. */
  applyLimits(name: string, section: Section | null): string[];
}

/** A section with a limit of memory, and of memory and swap; bytes. */
export const limited = (hard: number, swap?: number): Section => ({
  memory: { oom_monitor: false, memory_hard_limit: hard, ...(swap === undefined ? {} : { memory_swap_limit: swap }) },
});

/** The groups that a process is in (proc_pid_cgroup(5)). */
export function groupOf({ pid = 0 }: ChildProcess): string {
  return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
}

/** Gives what tests of this file work with: afresh for each, and whatever it did, no process, group or descriptor is left. */
export function useControlGroups(): () => ControlGroups {
  let current: ControlGroups;
  let before: Set<string>;
  let children: ChildProcess[];

  beforeEach(() => {
    before = openDescriptors();
    children = [];
    current = make(`northstate-test-${randomUUID()}`, children);
  });

  afterEach(async () => {
    const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const ended = running.map((child) => once(child, 'exit'));
    running.forEach((child) => child.kill('SIGKILL'));
    await Promise.all(ended);
    await removeGroups(current.root);
    await removeGroups(`${current.root}-slice`);
    assert.deepEqual(await leftovers(current.root, before), []);
  });

  return () => current;
}

function make(root: string, children: ChildProcess[]): ControlGroups {
  const warnings: string[] = [];
  const open = (host: Hierarchies = hierarchies, placesFile?: string, owner = root): Cgroups => {
    const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(line) });
    return createCgroups({ hierarchies: host, root, owner, log, ...(placesFile !== undefined && { placesFile }) });
  };
  const start = (leaf: Leaf, ...program: string[]): ChildProcess => {
    const child = spawn('/bin/sh', ['-c', 'read go; exec "$0" "$@"', payload, ...program], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    children.push(child);
    for (const fd of leaf.procs) writeSync(fd, String(child.pid));
    if (leaf.directory !== null) writeFileSync(`/proc/self/fd/${leaf.directory}/cgroup.procs`, String(child.pid));
    return child;
  };
  const cgroups = open();
  const applyLimits = (name: string, section: Section | null): string[] => {
    const { files, close } = cgroups.limits(name, section);
    for (const { fd, bytes } of files) writeSync(fd, bytes);
    close();
    return files.map(({ path, bytes }) => `${path.slice(path.lastIndexOf('/') + 1)} ${Buffer.from(bytes).toString()}`);
  };
  return { root, cgroups, warnings, open, start, applyLimits };
}
