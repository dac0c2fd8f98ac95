// The packages and documents of the simulation: few names, so that what concerns two of them happens often.
import type { Health } from '../../state/health.ts';
import type { ContainerEntry, Desired, DesiredState } from '../../state/desired.ts';
import { cgroupsSchema, type Manifest } from '../../state/schema/manifest.ts';
import type { ObservedPackage } from '../../state/observed.ts';
import type { Random } from './random.ts';

/** `data` is a resource; `auto` starts by itself; each may depend on those before it. */
export const names = ['data', 'alpha', 'beta', 'gamma', 'auto'] as const;
export const versions = ['1.0.0', '1.1.0', '2.0.0'] as const;

/** A package file at a path; `inode` says which bytes they are. */
export function packageOf(name: string, version: string, inode: number): ObservedPackage {
  return {
    id: `${name}:${version}`,
    name,
    version,
    repository: 'system',
    path: `/system/${name}:${version}.npk`,
    manifest: manifestOf(name, version),
    logs: new Map(),
    defects: [],
    foreign: null,
    image: { offset: 4096, size: 4096, type: 'squashfs' },
    identity: { dev: 1, ino: inode, size: 8192, mtimeMs: inode, ctimeMs: inode },
    digest: null,
    signed: null,
    integrity: 'none',
  };
}

/** The package that a source file holds: /inbox/NAME-VERSION.npk. */
export function packageAt(source: string, inode: number): ObservedPackage {
  const [name = '', version = ''] = source.slice('/inbox/'.length, -'.npk'.length).split('-');
  return packageOf(name, version, inode);
}

function manifestOf(name: string, version: string): Manifest {
  const base = { name, version, uid: 1000, gid: 1000 };
  if (name === 'data') return base;
  const resource = { type: 'resource' as const, name: 'data', version: '^1', dir: '/', options: [] };
  const mounts: Manifest['mounts'] = name === 'beta' ? new Map([['/data', resource]]) : undefined;
  return {
    ...base,
    init: '/app',
    ...(mounts === undefined ? {} : { mounts }),
    ...(name === 'auto' ? { autostart: 'relaxed' as const } : {}),
  };
}

/** An entry of a name, with everything that can be asked for. */
export function randomEntry(random: Random, name: string, generation: number): ContainerEntry {
  const version = random.pick([null, null, '^1', '^1', '1.0.0', '1.1.0', '2.0.0']);
  const exact = version !== null && !version.startsWith('^') ? version : random.pick(versions);
  const earlier = names.slice(1, Math.max(1, names.indexOf(name as (typeof names)[number])));
  return {
    key: name,
    name,
    version,
    state: randomState(random, name),
    source: random.chance(0.3) ? `/inbox/${name}-${exact}.npk` : null,
    digest: null,
    repository: null,
    restart: {
      policy: random.pick(['always', 'always', 'on-failure', 'never']),
      backoff: 100,
      maxBackoff: 2000,
      resetAfter: 5000,
      limit: random.pick([0, 0, 3]),
    },
    stop: { signal: 15, grace: random.pick([0, 100, 1000]) },
    ...randomOrder(random, earlier),
    env: new Map(random.chance(0.5) ? [['LEVEL', random.pick(['1', '2'])]] : []),
    args: null,
    init: null,
    cgroups: random.chance(0.3) ? randomGroups(random) : null,
    rlimits: null,
    oomScoreAdj: null,
    run: random.chance(0.3) ? runOf(random.between(1, 3)) : null,
    prepare: random.pick([true, false, 'auto', 'auto', 'auto']),
    paused: random.chance(0.1),
    update: random.chance(0.2) ? 'automatic' : 'manual',
    lock: null,
    persist: { snapshot: false },
    generation,
    writtenBy: 'person',
    uninstalling: false,
    changedBy: 'person',
  };
}

/** What it depends on, and how. */
function randomOrder(
  random: Random,
  earlier: readonly string[],
): Pick<ContainerEntry, 'dependsOn' | 'restartWith' | 'health' | 'settle' | 'timeout' | 'schedule'> {
  const chosen = earlier.filter(() => random.chance(0.3));
  const asked = chosen.map(
    (each) => [each, random.pick(['running', 'running', 'ready', 'succeeded'] as const)] as const,
  );
  return {
    dependsOn: new Map(asked),
    restartWith: chosen.filter(() => random.chance(0.3)),
    health: random.chance(0.4) ? randomHealth(random) : null,
    settle: random.pick([0, 200, 2000]),
    schedule: null,
    timeout: random.chance(0.15) ? random.pick([300, 3000]) : null,
  };
}

function randomHealth(random: Random): Health {
  const probe = {
    target: { kind: 'tcp', address: '127.0.0.1', port: 1 },
    every: 100,
    timeout: 100,
    failures: 3,
  } as const;
  return {
    ready: random.pick(['notify', probe, null]),
    within: random.pick([null, 1000, 10_000]),
    alive: random.chance(0.5) ? probe : null,
    watchdog: random.chance(0.3) ? 1000 : null,
  };
}

function randomGroups(random: Random): ContainerEntry['cgroups'] {
  const parent = random.pick([null, null, '/slice/', 'other']);
  const memory = { memory_hard_limit: random.pick([1048576, 2097152]) };
  return cgroupsSchema.parse({ memory, ...(parent !== null && { parent }) });
}

/** One more start, with nothing else changed. */
export function runOf(id: number): NonNullable<ContainerEntry['run']> {
  return { id, init: null, args: null, env: null };
}

/** What a name may be asked to be; a resource has nothing to run. */
export function randomState(random: Random, name: string): DesiredState {
  if (name === 'data') return random.pick(['installed', 'mounted']);
  return random.pick(['running', 'running', 'running', 'running', 'mounted', 'mounted', 'installed', 'absent']);
}

/** A document of some of the names. */
export function randomDocument(random: Random): Desired {
  const entries = names.filter((name) => random.chance(name === 'auto' ? 0.2 : 0.6));
  return {
    repositories: new Map([['system', repository(random.chance(0.1))]]),
    containers: new Map(entries.map((name) => [name, randomEntry(random, name, 1)])),
    autostart: random.chance(0.9) ? 'run' : 'ignore',
    trial: null,
  };
}

function repository(mountOnStart: boolean) {
  return {
    id: 'system',
    type: 'fs' as const,
    dir: '/system',
    keys: [],
    mountOnStart,
    capacity: { containers: null, size: null },
    integrity: 'none' as const,
  };
}
