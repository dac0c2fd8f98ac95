// What the kernel, the repositories and the launcher show. Controllers write it, planners read it; nothing in it is an intention.
import type { Health, ObservedHealth } from './health.ts';
import type { Integrity, RunBy } from './desired.ts';
import type { Manifest } from './schema/manifest.ts';
import type { OutputLevel } from './names.ts';
import type { ScheduleRecord } from './schedule.ts';
import type { Exit } from './signals.ts';

/** Which bytes a file holds, as far as the file system tells without reading them (stat(2)). */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

/** One package in a repository. `id` is name:version. */
export interface ObservedPackage {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly repository: string;
  readonly path: string;
  readonly manifest: Manifest;
  readonly logs: OutputLogs;
  /** Fields of its manifest that have no effect, and such as cannot be; sentences. */
  readonly defects: readonly string[];
  /** How it is asked whether it is ready and alive, where its entry does not say; not at all when left out. */
  readonly health?: Health;
  readonly image: { readonly offset: number; readonly size: number; readonly type: 'squashfs' | 'erofs' };
  readonly identity: FileIdentity;
  /** `sha256:<hex>` of the whole file where it is known (installed from a `source`), else null. */
  readonly digest: string | null;
  /** What the image is checked against, in a repository with keys; null in one without: nothing is checked. */
  readonly signed: Signed | null;
  readonly integrity: Integrity;
  /** Who else than root may change what runs, where no key stands against it; a sentence, null = nobody. */
  readonly foreign: string | null;
  /** The same version in other repositories: for an entry that names one of them. None when left out. */
  readonly elsewhere?: readonly ObservedPackage[];
}

/** A package, and the same version in other repositories. */
export function copiesOf(found: ObservedPackage): readonly ObservedPackage[] {
  return found.elsewhere === undefined ? [found] : [found, ...found.elsewhere];
}

/** How the older dialect has streams logged: at a level, under a tag. Today's has no such thing. */
export type OutputLogs = ReadonlyMap<'stdout' | 'stderr', { readonly level: OutputLevel; readonly tag: string }>;

/** What a good signature says of an image. */
export interface Signed {
  /** SHA-256 (hex) of the key that made it. */
  readonly by: string;
  readonly tree: HashTree;
}

/**
 * A dm-verity hash tree of sha256 with data and hash blocks of 4096 bytes, whose root is signed. Offsets are bytes from the
 * start of the image.
 */
export interface HashTree {
  readonly algorithm: 'sha256';
  /** Hex. */
  readonly rootHash: string;
  /** Hex. */
  readonly salt: string;
  readonly uuid: string;
  /** The blocks from the start of the image that it covers, and all that may be attached. */
  readonly dataBlocks: number;
  /** Where the superblock is, which is where the data ends. */
  readonly superblockOffset: number;
  /** Where the first hash block is: the top of the tree, or the end of the superblock when one data block needs no tree. */
  readonly treeOffset: number;
  /** From the level over the data up to the one block at the top; none for one data block. */
  readonly levels: readonly { readonly offset: number; readonly blocks: number }[];
}

export interface ObservedRepository {
  readonly id: string;
  readonly type: 'fs' | 'mem';
  readonly dir: string | null;
  /** Only packages are taken that are signed with one of its keys. */
  readonly verified: boolean;
  readonly integrity: Integrity;
  readonly packages: number;
  /** Bytes of all packages. */
  readonly size: number;
  /** Files that could not be read as packages, and why. */
  readonly broken: readonly { readonly path: string; readonly message: string }[];
  /** Why the repository as a whole cannot be read, null when it can. */
  readonly error: string | null;
  /** `error` says nothing about what is there: the packages are those that were known before, and it is read again. */
  readonly stale: boolean;
}

/** A mounted image, in the reconciler's mount namespace. `id` is name:version. */
export interface ObservedMount {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** mnt_id of statx(2) and /proc/self/mountinfo. */
  readonly mountId: number;
  readonly target: string;
  /** The backing file as LOOP_GET_STATUS64 shows it. */
  readonly backing: { readonly dev: number; readonly ino: number } | null;
  /**
   * What has become of the image since it was mounted. `written`: the file behind it was changed in place; `corrupted`:
   * dm-verity has met a block that is not the signed one, and has given EIO instead of it.
   */
  readonly integrity: 'intact' | 'written' | 'corrupted';
}

/** The control groups of one container name. */
export interface ObservedCgroup {
  readonly name: string;
  /** Controller -> directory of the name's group, for each hierarchy it is in; `unified` -> that in the v2 tree. */
  readonly groups: ReadonlyMap<string, string>;
  /** The `parent` below which it is, null: our root. */
  readonly place: string | null;
  /** Attempt ids that have a leaf below it. */
  readonly leaves: readonly number[];
  /** Attempts whose processes the kernel has stopped, or is about to. */
  readonly frozen: ReadonlyMap<number, 'freezing' | 'frozen'>;
  /** What its files show that is not as in a new group: lines `file value`, sorted. */
  readonly limits: string;
  /** What groups do not hand down (cpuset of v1): what the name's group has, and what its leaves have, by file. */
  readonly own: ReadonlyMap<
    'cpuset.cpus' | 'cpuset.mems',
    { readonly group: string; readonly leaves: readonly string[] }
  >;
}

/** Why a run is ended that has not ended by itself. */
export type Fault = 'TimedOut' | 'NotReady' | 'Unhealthy' | 'WatchdogExpired';

/**
 * Until when a run must not be replaced, CLOCK_BOOTTIME in ms, 0 = it was never locked so: as it has said on its console, and as its file
 * says; and since when without a gap.
 */
export interface AttemptLocks {
  readonly console: number;
  readonly file: number;
  readonly since: number;
}

/** Persistent data of a container as it was before another version was first started on trial. */
export interface KeptData {
  /** Of whose version it is. */
  readonly version: string;
  /** The generation that the trial goes back to. */
  readonly confirmed: number;
  /** Another version may have changed the data since. */
  readonly touched: boolean;
}

/** What the reconciler has the launcher remember with an attempt (JSON, at most 4 KiB). */
export interface AttemptRecord {
  readonly version: string;
  /** replacingHash() of the entry that it was made for; another one replaces the container. */
  readonly entry: string;
  readonly run: number | null;
  /** Whose run it is, where it is not the document's own. */
  readonly by?: RunBy;
  /** How often the restart policy has started it again since it was last counted as healthy. */
  readonly restarts: number;
  readonly generation: number;
  /** Images (name:version) that it uses besides its own. */
  readonly uses: readonly string[];
  /** What its manifest names and the host did not have, and it was made without: sentences. */
  readonly lacks: readonly string[];
  readonly lastExit: Exit | null;
  /** Hash of what the sandbox was made from, as far as planners see it: entry, package, mounts. Another one discards it. */
  readonly made: string;
  /** CLOCK_BOOTTIME in ms at which it was asked for. */
  readonly at: number;
  /** Started by its package's autostart and by no entry. */
  readonly autostart: boolean;
  /** How it is stopped when its entry is gone. `grace` in ms. */
  readonly onStop: { readonly signal: number; readonly grace: number };
  /** Names that it depended on: it stops before them, also when its entry is gone. */
  readonly dependsOn: readonly string[];
  /** Of those whose new instance replaces this one: the attempt that ran when it was started. */
  readonly beside: Readonly<Record<string, number>>;
  /** Until when it must not be replaced; never when left out. */
  readonly locks?: AttemptLocks;
  /** Made in advance, and nobody has asked for it yet: where it fails, no start has. */
  readonly ahead?: true;
  /** The system call that its filter has killed it for. */
  readonly refused?: string;
  /**
   * A stop under way: CLOCK_BOOTTIME ms at which SIGKILL follows, null = never (exactly one signal was asked for). `fault`:
   * it is ended for what it did, or did not, and that counts as a failure of the run, however it ends.
   */
  readonly stop: { readonly deadline: number | null; readonly killed: boolean; readonly fault?: Fault } | null;
}

/** That a name has run in this boot, as runDir keeps it: what the launcher's death must not repeat. */
export interface Ran {
  readonly run: number | null;
  /** An end that the restart policy did not answer, null as long as there was none. */
  readonly exit: Exit | null;
  /** The attempt that was started, null when that was an earlier launcher's. */
  readonly attempt: number | null;
}

/** One start of a container, as the launcher shows it. Times are CLOCK_BOOTTIME in ms, 0 = not yet. */
export interface ObservedAttempt {
  readonly id: number;
  readonly name: string;
  readonly version: string;
  readonly state: 'preparing' | 'prepared' | 'running' | 'exited' | 'failed';
  readonly pid: number;
  /** Hash of everything that the sandbox was made from, hex. */
  readonly hash: string;
  readonly record: AttemptRecord;
  readonly preparedAt: number;
  readonly startedAt: number;
  readonly exitedAt: number;
  readonly exit: Exit | null;
  readonly oomKills: number;
  readonly failure: { readonly step: string; readonly code: string; readonly subject: string } | null;
  /** The attempt whose end it waits for (`go after`), 0 = none. */
  readonly after: number;
  /** It has been told to start, and the application has not begun: it may at any time. */
  readonly going: boolean;
  readonly health: ObservedHealth;
}

export interface Observed {
  readonly repositories: ReadonlyMap<string, ObservedRepository>;
  /** By container name: its versions, highest first. */
  readonly packages: ReadonlyMap<string, readonly ObservedPackage[]>;
  /** By container name. */
  readonly mounts: ReadonlyMap<string, readonly ObservedMount[]>;
  readonly cgroups: ReadonlyMap<string, ObservedCgroup>;
  /** By container name, oldest first. */
  readonly attempts: ReadonlyMap<string, readonly ObservedAttempt[]>;
  /** By container name. */
  readonly ran: ReadonlyMap<string, Ran>;
  /** By container name. */
  readonly schedules: ReadonlyMap<string, ScheduleRecord>;
  /** By container name. */
  readonly kept: ReadonlyMap<string, KeptData>;
}

/** Of a runtime that has looked at nothing. */
export const emptyObserved = (): Observed => ({
  repositories: new Map(),
  packages: new Map(),
  mounts: new Map(),
  cgroups: new Map(),
  attempts: new Map(),
  ran: new Map(),
  schedules: new Map(),
  kept: new Map(),
});
