// Which package each entry means. Pure: entries, packages and the lock of one name in, its targets and a new lock out.
import { replacingHash, type ContainerEntry } from '../../state/desired.ts';
import { copiesOf, type ObservedAttempt, type ObservedPackage } from '../../state/observed.ts';
import type { Locked } from '../../state/store.ts';
import { compareVersions, matches, parseRequirement, type Requirement } from '../../state/version.ts';
import type { Resource, Target } from '../controller.ts';
import { containerId, splitContainerId } from '../../state/container-id.ts';

/** What is known about one name. */
export interface Known {
  readonly name: string;
  /** All entries of the name, whatever their key. */
  readonly entries: readonly ContainerEntry[];
  /** Highest version first. */
  readonly packages: readonly ObservedPackage[];
  readonly attempts: readonly ObservedAttempt[];
  readonly lock: ReadonlyMap<string, Locked>;
  /** Repositories of the document. */
  readonly repositories: ReadonlySet<string>;
  /** Repositories whose packages are mounted without being asked for. */
  readonly mountOnStart: ReadonlySet<string>;
  /** Which packages may be started by their own `autostart`: all, those that it has started before, or none. */
  readonly autostart: 'all' | 'started' | 'none';
  /** Whether a package is in quarantine: it is passed over. */
  readonly passedOver: (found: ObservedPackage) => boolean;
  /** Nothing is taken by itself now. */
  readonly holding: boolean;
  /** The packages of another name, for resources; highest version first. */
  packagesOf(name: string): readonly ObservedPackage[];
}

export interface Resolved {
  readonly targets: readonly Target[];
  /** Locks that are to be kept from now on, by entry key. */
  readonly locks: ReadonlyMap<string, Locked>;
}

/** Resolves all entries of a name, and what its packages ask for where no entry does. */
export function resolve(known: Known): Resolved {
  const locks = new Map<string, Locked>();
  const named = known.entries.map((entry) => {
    const choice = choose(entry, known);
    if (choice.lock !== null) locks.set(entry.key, choice.lock);
    return targetOf(known, entry, choice.version, choice.package, {
      digest: choice.digest,
      goneRepository: choice.package === null ? goneRepository(entry, known) : null,
      newer: choice.newer,
      autostart: null,
    });
  });
  return { targets: [...named, ...implied(known, named)], locks };
}

interface Choice {
  readonly version: string | null;
  readonly package: ObservedPackage | null;
  readonly digest: string | null;
  readonly newer: string | null;
  /** What is to be locked, null when that is locked already or when there is nothing to lock. */
  readonly lock: Locked | null;
}

/**
 * A locked version stays, whatever else is installed. Without a lock the highest installed is taken, of the repository
 * that the entry names; `update: automatic` takes a higher one at any time. None is taken that another entry wants absent.
 */
function choose(entry: ContainerEntry, { packages, lock, entries, passedOver, holding }: Known): Choice {
  const requirement = requirementOf(entry);
  const locked = lock.get(entry.key) ?? null;
  const others = entry.state === 'absent' ? [] : entries.filter(({ key }) => key !== entry.key);
  const leaving = others.filter(({ state }) => state === 'absent');
  const isLeft = (found: Place): boolean =>
    typeof requirement === 'string' || !leaving.some((other) => names(other, found));
  const fitting = packages
    .filter(({ version }) => admits(requirement, version))
    .flatMap(copiesOf)
    .filter((found) => !passedOver(found) || entry.state === 'absent')
    .filter((found) => isLeft(found) && (entry.repository === null || entry.repository === found.repository));
  const best = fitting[0] ?? null;
  const kept = locked !== null && admits(requirement, locked.version) && isLeft(locked) ? locked : null;
  const higher = best !== null && kept !== null && compareVersions(best.version, kept.version) > 0;
  if (kept === null || (higher && entry.update === 'automatic' && !holding)) {
    const version = best?.version ?? (typeof requirement === 'string' ? requirement : null);
    return { version, package: best, digest: entry.digest, newer: null, lock: best === null ? null : lockOf(best) };
  }
  const same = fitting.filter(({ version }) => version === kept.version);
  const found = same.find(({ repository }) => repository === kept.repository) ?? same[0] ?? null;
  const digest = entry.digest ?? kept.digest;
  return { version: kept.version, package: found, digest, newer: higher ? best.version : null, lock: null };
}

type Place = Pick<ObservedPackage, 'version' | 'repository'>;

/** Whether an entry has that version, in that repository, by name. */
function names({ version, repository }: ContainerEntry, found: Place): boolean {
  return version === found.version && (repository === null || repository === found.repository);
}

function goneRepository(entry: ContainerEntry, { lock, repositories }: Known): string | null {
  const repository = entry.repository ?? lock.get(entry.key)?.repository ?? null;
  return repository === null || repositories.has(repository) ? null : repository;
}

function lockOf({ version, repository, digest }: ObservedPackage): Locked {
  return { version, repository, digest };
}

const exact = /^\d+\.\d+\.\d+$/;

/** A string is an exact version. */
function requirementOf({ version }: ContainerEntry): string | Requirement {
  if (version !== null && exact.test(version)) return version;
  return requirement(version ?? '*');
}

function admits(requirement: string | Requirement, version: string): boolean {
  return typeof requirement === 'string' ? requirement === version : matches(requirement, version);
}

const requirements = new Map<string, Requirement>();

/** Parsed once: packages are resolved over and over against the same few texts. */
function requirement(text: string): Requirement {
  const known = requirements.get(text);
  if (known !== undefined) return known;
  if (requirements.size > 1000) requirements.clear();
  const parsed = parseRequirement(text);
  requirements.set(text, parsed);
  return parsed;
}

function targetOf(
  known: Known,
  entry: ContainerEntry,
  version: string | null,
  found: ObservedPackage | null,
  rest: Pick<Target, 'digest' | 'goneRepository' | 'newer' | 'autostart'>,
): Target {
  const replacing = `${replacingHash(entry).slice(0, 32)} ${version ?? 'none'}`;
  const uses = entry.state === 'running' || (entry.state === 'mounted' && entry.prepare === true);
  const resources = uses && found !== null ? resourcesOf(found, replacing, known) : [];
  return { key: entry.key, entry, version, package: found, resources, replacing, ...rest };
}

/** Resources take the highest installed version. A container that runs keeps what it has until it is started anew. */
function resourcesOf({ manifest }: ObservedPackage, replacing: string, known: Known): Resource[] {
  const running = known.attempts.find(({ state, record }) => state === 'running' && record.entry === replacing);
  const resources: Resource[] = [];
  for (const [target, mount] of manifest.mounts ?? []) {
    if (mount.type !== 'resource') continue;
    const asked = requirement(mount.version);
    const id =
      running?.record.uses.find((used) => isOf(used, mount.name, asked)) ??
      known.packagesOf(mount.name).find(({ version }) => matches(asked, version))?.id ??
      null;
    resources.push({ target, name: mount.name, requirement: mount.version, id });
  }
  return resources;
}

/** The packages of a name without those that its entries want deleted: nobody is to begin with them as a resource. */
export function staying(
  packages: readonly ObservedPackage[],
  entries: readonly ContainerEntry[],
  lock: ReadonlyMap<string, Locked>,
): readonly ObservedPackage[] {
  const means = ({ key, version: asked }: ContainerEntry, version: string): boolean =>
    (lock.get(key)?.version ?? asked) === version;
  const absent = entries.filter(({ state }) => state === 'absent');
  if (absent.length === 0) return packages;
  const kept = entries.filter(({ state }) => state !== 'absent');
  return packages.filter(
    ({ version }) =>
      kept.some((entry) => means(entry, version)) ||
      !absent.some((entry) => (entry.version === null && !entry.uninstalling) || means(entry, version)),
  );
}

function isOf(id: string, name: string, asked: Requirement): boolean {
  const used = splitContainerId(id);
  return used.name === name && used.version !== null && matches(asked, used.version);
}

/** `autostart` and `mountOnStart` of packages that no entry names. */
function implied(known: Known, named: readonly Target[]): Target[] {
  const { packages } = known;
  const own = new Set(named.map(({ version }) => version));
  const free = packages.filter((found) => !own.has(found.version) && !known.passedOver(found));
  const started = named.some(({ entry }) => entry.state === 'running') ? null : startedByItself(known, own, free);
  const mounted = free.filter(
    (found) => found.version !== started?.version && known.mountOnStart.has(found.repository),
  );
  return [
    ...(started === null ? [] : [started]),
    ...mounted.map((found) => impliedTarget(known, found, 'mounted', null)),
  ];
}

/**
 * What autostart has started stays wanted as long as an attempt of it is remembered, and while it runs even without its
 * package file; then nothing starts it again. An entry of the name, or of that version, beats it: what an entry has had run since
 * ends with that.
 */
function startedByItself(
  known: Known,
  own: ReadonlySet<string | null>,
  free: readonly ObservedPackage[],
): Target | null {
  const { name, attempts, autostart, entries } = known;
  if (autostart === 'none' || entries.some(({ key }) => key === name)) return null;
  const remembered = attempts.findLast(
    ({ record, version, state }) =>
      !own.has(version) && (record.autostart || (record.by !== 'once' && hasBegun(state))),
  );
  if (remembered?.record.autostart === false) return null;
  const found = free.find(({ version, manifest }) => {
    if (remembered !== undefined) return version === remembered.version;
    return autostart === 'all' && manifest.autostart !== undefined;
  });
  if (found !== undefined) return impliedTarget(known, found, 'running', found.manifest.autostart ?? 'relaxed');
  if (remembered?.state !== 'running') return null;
  return impliedTarget(known, { name, version: remembered.version, repository: null }, 'running', 'relaxed');
}

/** Not a sandbox alone. */
function hasBegun(state: ObservedAttempt['state']): boolean {
  return state !== 'preparing' && state !== 'prepared';
}

function impliedTarget(
  known: Known,
  found: ObservedPackage | (Pick<ContainerEntry, 'name' | 'repository'> & { readonly version: string }),
  state: 'running' | 'mounted',
  autostart: Target['autostart'],
): Target {
  const entry = impliedEntry(found.name, found.version, found.repository, state);
  const rest = { digest: null, goneRepository: null, newer: null, autostart };
  return targetOf(known, entry, found.version, 'manifest' in found ? found : null, rest);
}

/** What an entry says that nobody has written. */
export function impliedEntry(
  name: string,
  version: string,
  repository: string | null,
  state: 'running' | 'mounted',
): ContainerEntry {
  return {
    key: containerId(name, version),
    name,
    version,
    state,
    source: null,
    digest: null,
    repository,
    restart: { policy: 'never', backoff: 500, maxBackoff: 300_000, resetAfter: 600_000, limit: 0 },
    stop: { signal: 15, grace: 10_000 },
    dependsOn: new Map(),
    restartWith: [],
    health: null,
    settle: 2000,
    timeout: null,
    schedule: null,
    env: new Map(),
    args: null,
    init: null,
    cgroups: null,
    rlimits: null,
    oomScoreAdj: null,
    run: null,
    prepare: 'auto',
    paused: false,
    update: 'manual',
    lock: null,
    persist: { snapshot: false },
    generation: 0,
    writtenBy: 'console',
    uninstalling: false,
    changedBy: 'console',
  };
}
