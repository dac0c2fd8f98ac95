// Short ways to write down what a planner sees.
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import type { Step, Target, View } from '../../controllers/controller.ts';
import { unasked } from '../../state/health.ts';
import type { ContainerEntry } from '../../state/desired.ts';
import type { ObservedAttempt, ObservedMount, ObservedPackage } from '../../state/observed.ts';

/** Of a host without control groups. */
export const noHierarchies: Hierarchies = {
  legacy: new Map(),
  unified: null,
  unifiedControllers: new Set(),
  others: [],
  swappiness: '60',
  pageSize: 4096,
  mostProcesses: null,
};

/** An entry that wants a container of this name to run, in whichever version. */
export function runningEntry(name: string, fields: Partial<ContainerEntry> = {}): ContainerEntry {
  return { ...target('running', null, null).entry, key: name, name, ...fields };
}

/** A view of the name `app` in which nothing is wanted and nothing is there. */
export function view(fields: Partial<View> = {}): View {
  return {
    name: 'app',
    stopping: false,
    targets: [],
    staged: [],
    holding: false,
    packages: [],
    brokenFiles: [],
    mounts: [],
    cgroup: null,
    attempts: [],
    ran: null,
    mountsWanted: new Map(),
    usedBy: new Map(),
    wasUsedBy: new Map(),
    resourceMounts: new Map(),
    dependenciesDown: [],
    opensAt: null,
    partners: new Map(),
    dependentsUp: [],
    kept: null,
    dataTrial: null,
    passesLocks: false,
    ahead: null,
    schedule: null,
    boot: 'boot',
    wall: null,
    now: 0,
    ...fields,
  };
}

/** A package of `app`; its file is inode 1, as long as nothing else is said. */
export function packageOf(version: string, fields: Partial<ObservedPackage> = {}): ObservedPackage {
  return {
    id: `app:${version}`,
    name: 'app',
    version,
    repository: 'system',
    path: `/system/app:${version}.npk`,
    manifest: { name: 'app', version, init: '/app', uid: 1000, gid: 1000 },
    logs: new Map(),
    defects: [],
    foreign: null,
    image: { offset: 4096, size: 8192, type: 'squashfs' },
    identity: { dev: 1, ino: 1, size: 12288, mtimeMs: 1, ctimeMs: 1 },
    digest: null,
    signed: null,
    integrity: 'none',
    ...fields,
  };
}

/** A target that wants `version`; `found` is null when it is not installed. */
export function target(
  state: ContainerEntry['state'],
  version: string | null,
  found: ObservedPackage | null,
  entry: Partial<ContainerEntry> = {},
): Target {
  return {
    key: 'app',
    entry: {
      key: 'app',
      name: 'app',
      version,
      state,
      source: null,
      digest: null,
      repository: null,
      restart: { policy: 'always', backoff: 500, maxBackoff: 300_000, resetAfter: 600_000, limit: 0 },
      stop: { signal: 15, grace: 10_000 },
      dependsOn: new Map(),
      restartWith: [],
      health: null,
      settle: 0,
      timeout: null,
      schedule: null,
      env: new Map(),
      args: null,
      init: null,
      cgroups: null,
      rlimits: null,
      oomScoreAdj: null,
      run: null,
      prepare: false,
      paused: false,
      update: 'manual',
      lock: null,
      persist: { snapshot: false },
      generation: 1,
      writtenBy: 'person',
      uninstalling: false,
      changedBy: 'person',
      ...entry,
    },
    version,
    package: found,
    digest: entry.digest ?? null,
    goneRepository: null,
    resources: [],
    autostart: null,
    newer: null,
    replacing: `entry of ${version ?? 'none'}`,
  };
}

/** The mounted image of a version, on the file of inode 1. */
export function mountOf(version: string, fields: Partial<ObservedMount> = {}): ObservedMount {
  const id = `app:${version}`;
  return {
    id,
    name: 'app',
    version,
    mountId: 100,
    target: `/run/mounts/${id}`,
    backing: { dev: 1, ino: 1 },
    integrity: 'intact',
    ...fields,
  };
}

/** Attempt `id` of a version, made for the entry that target() gives it. */
export function attempt(
  id: number,
  version: string,
  state: ObservedAttempt['state'] = 'running',
  uses: readonly string[] = [],
): ObservedAttempt {
  return {
    id,
    name: 'app',
    version,
    state,
    pid: 4711,
    hash: '',
    record: {
      version,
      entry: `entry of ${version}`,
      run: null,
      restarts: 0,
      generation: 1,
      uses,
      lacks: [],
      lastExit: null,
      made: '',
      at: 0,
      autostart: false,
      onStop: { signal: 15, grace: 10_000 },
      dependsOn: [],
      beside: {},
      stop: null,
    },
    preparedAt: 0,
    startedAt: 0,
    exitedAt: 0,
    exit: null,
    oomKills: 0,
    failure: null,
    after: 0,
    going: false,
    health: unasked,
  };
}

/** A step in one line: what it does to what, and what it waits for. */
export function lines<S extends Step>(steps: readonly S[], text: (step: S) => string): string[] {
  return steps.map((step) => (step.waits === null ? text(step) : `${text(step)}, waits: ${step.waits}`));
}
