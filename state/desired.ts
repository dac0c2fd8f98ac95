// What the document asks for, as the rest of the runtime sees it: defaults filled in, durations in ms, names in Maps.
import { hash } from 'node:crypto';
import type { Health } from './health.ts';
import type { Schedule } from './schedule.ts';
import type { Cgroups, Rlimits } from './schema/manifest.ts';
import type { TrialTerms } from './trial/terms.ts';

export type DesiredState = 'absent' | 'installed' | 'mounted' | 'running';

/** What follows an exit. Times are in ms; `limit` is the number of restarts in a row, 0 = without end. */
export interface RestartPolicy {
  readonly policy: 'always' | 'on-failure' | 'never';
  readonly backoff: number;
  readonly maxBackoff: number;
  /** A container that ran this long starts again with the first backoff. */
  readonly resetAfter: number;
  readonly limit: number;
}

/** How a container is stopped: `signal` (a number, signal(7)), then SIGKILL after `grace` ms. */
export interface StopPolicy {
  readonly signal: number;
  readonly grace: number;
}

/** What a dependency must have come to before a start: it runs, it is ready, its last run has ended with 0. */
export type Dependency = 'running' | 'ready' | 'succeeded';

/** Whose run it is that is not the document's own. */
export type RunBy = 'schedule' | 'once';

/** One imperative start: another `id` than before asks for one more; the rest replaces the entry's for that run. */
export interface Run {
  readonly id: number;
  /** Who asks for it, where that is not the document: its schedule, or somebody for this once. */
  readonly by?: RunBy;
  /** Of a schedule: it is to start now. */
  readonly due?: boolean;
  readonly init: string | null;
  readonly args: readonly string[] | null;
  readonly env: ReadonlyMap<string, string> | null;
}

/** One entry of `containers`. `null` is a field that the document leaves to the manifest or to the resolution. */
export interface ContainerEntry {
  /** As in the document: a name, or name:version. */
  readonly key: string;
  readonly name: string;
  /** Exact, or a requirement in Cargo's grammar; of a name:version key that version. */
  readonly version: string | null;
  readonly state: DesiredState;
  readonly source: string | null;
  /** `sha256:<hex>` of the package file. */
  readonly digest: string | null;
  readonly repository: string | null;
  readonly restart: RestartPolicy;
  readonly stop: StopPolicy;
  readonly dependsOn: ReadonlyMap<string, Dependency>;
  /** Dependencies of which a new instance replaces this one's. */
  readonly restartWith: readonly string[];
  /** How it is asked whether it is ready and alive; null leaves that to the package. */
  readonly health: Health | null;
  /** ms that it has to run until it is ready, where nothing else says so. */
  readonly settle: number;
  /** ms after which a run is ended and has failed; null = it may run for ever. */
  readonly timeout: number | null;
  /** When it runs, again and again; null: whenever it is wanted. */
  readonly schedule: Schedule | null;
  /** Merged over the manifest's; null removes a variable. */
  readonly env: ReadonlyMap<string, string | null>;
  readonly args: readonly string[] | null;
  readonly init: string | null;
  readonly cgroups: Cgroups | null;
  readonly rlimits: Rlimits | null;
  /** Instead of the manifest's; null = as that says, else 0. */
  readonly oomScoreAdj: number | null;
  readonly run: Run | null;
  /** A sandbox is kept ready while it does not run; `auto`: where there is memory for it, and nothing else to do. */
  readonly prepare: boolean | 'auto';
  /** Frozen as soon as it runs, until this is taken back. */
  readonly paused: boolean;
  readonly update: 'manual' | 'automatic';
  /** That its replacement waits for it, for `max` ms at most: when it says so on its console, and while `file` is there. */
  readonly lock: { readonly max: number; readonly file: string | null } | null;
  /** `snapshot`: its persistent data is kept when a trial starts another version, and comes back with a revert. */
  readonly persist: { readonly snapshot: boolean };
  /** The generation that last changed this entry. */
  readonly generation: number;
  /** Who made the entry: one that a console command made leaves with its package. */
  readonly writtenBy: 'person' | 'console';
  /** Its `absent` is that of an uninstallation, which is spent, and the entry with it, when the package is deleted. */
  readonly uninstalling: boolean;
  /** Who changed it last. */
  readonly changedBy: 'person' | 'console';
}

export interface RepositoryEntry {
  readonly id: string;
  readonly type: 'fs' | 'mem';
  readonly dir: string | null;
  /** Key files, with one of whose keys a package must be signed; none = packages are taken as they are. */
  readonly keys: readonly string[];
  readonly mountOnStart: boolean;
  /** Number of packages, and bytes of all of them; null = no limit. */
  readonly capacity: { readonly containers: number | null; readonly size: number | null };
  readonly integrity: Integrity;
}

/** How mounted images are checked against their signature: block by block as they are read, whole before the mount, or not. */
export type Integrity = 'none' | 'dm-verity' | 'full-check';

/** Repositories that the configuration names, by id: they are there beside the document's, which can say nothing of them. */
export type Configured = ReadonlyMap<string, RepositoryEntry>;

export interface Desired {
  readonly repositories: ReadonlyMap<string, RepositoryEntry>;
  readonly containers: ReadonlyMap<string, ContainerEntry>;
  readonly autostart: 'run' | 'ignore';
  /** What the document must come to before it is confirmed; null = nothing, as far as it says. */
  readonly trial: TrialTerms | null;
}

/** What an empty document asks for: nothing, and autostart as the packages say. */
export const emptyDesired: Desired = { repositories: new Map(), containers: new Map(), autostart: 'run', trial: null };

const hashes = new WeakMap<ContainerEntry, string>();

/**
 * SHA-256 (hex) of the fields of an entry whose change replaces a running container: init, args, env, rlimits, oomScoreAdj, and
 * what of cgroups cannot change while it runs. Which package runs is not among them: that is the resolved version, which the caller compares beside it.
 */
export function replacingHash(entry: ContainerEntry): string {
  const known = hashes.get(entry);
  if (known !== undefined) return known;
  const env = [...entry.env].sort(([a], [b]) => (a < b ? -1 : 1));
  const score = entry.oomScoreAdj === null ? [] : [{ oomScoreAdj: entry.oomScoreAdj }];
  const said = entry.health === null ? [] : [notices(entry.health)];
  const made = contentHash([entry.init, entry.args, env, entry.rlimits, ...score, ...fixedLimits(entry), ...said]);
  hashes.set(entry, made);
  return made;
}

/** What of it the application is told at its start, and a socket is made for. */
function notices({ ready, watchdog }: Health): unknown {
  return { notify: ready === 'notify' || watchdog !== null, watchdog };
}

/** SHA-256 of a value as JSON, the same in every process: keys are sorted, maps are objects. */
export function contentHash(value: unknown): string {
  return hashOfText(JSON.stringify(value, sortedKeys));
}

/** Hashes of the last short texts: most entries say the same few things, and the same again after each command. */
const texts = new Map<string, string>();
const mostTexts = 64;
const longestText = 512;

function hashOfText(text: string): string {
  const known = texts.get(text);
  if (known !== undefined) return known;
  const made = hash('sha256', text);
  if (text.length > longestText) return made;
  if (texts.size >= mostTexts) texts.clear();
  texts.set(text, made);
  return made;
}

/** Files by name say nothing about what they were before. */
function fixedLimits({ cgroups }: ContainerEntry): unknown[] {
  const { parent: _place, ...sections } = cgroups ?? {};
  const attrs = Object.entries(sections).flatMap(([name, section]) =>
    section?.attrs === undefined ? [] : [[name, section.attrs] as const],
  );
  return attrs.length === 0 ? [] : [Object.fromEntries(attrs)];
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (value instanceof Map) return sortedKeys('', Object.fromEntries(value));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
