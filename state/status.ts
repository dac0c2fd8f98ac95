// The status object that `get` prints (scripts rely on it: fields are added, none is renamed).
import type { Integrity } from './desired.ts';
import type { Exit } from './signals.ts';
import type { TrialTerms } from './trial/terms.ts';
import type { CauseReason, TrialState } from './trial/trial-record.ts';

export const phases = [
  'Absent',
  'Installed',
  'Mounted',
  'Starting',
  'Running',
  'Stopping',
  'Backoff',
  'Exited',
  'Scheduled',
  'Failed',
] as const;
export type Phase = (typeof phases)[number];

export const conditionTypes = [
  'Installed',
  'Verified',
  'Mounted',
  'Ready',
  'UpdateAvailable',
  'PackageMissing',
  'IntegrityLost',
  'Degraded',
] as const;
export type ConditionType = (typeof conditionTypes)[number];

/** Why a condition has its status; those of Degraded are also what a step failed for that no retry mends. */
export const conditionReasons = [
  // Installed, PackageMissing
  'PackageInstalled',
  'NotInstalled',
  'PackageVanished',
  'RepositoryRemoved',
  'AsResolved',
  // Verified
  'DigestMatches',
  'DigestUnknown',
  // also Degraded, and Ready where it keeps a container from starting
  'DigestMismatch',
  'NothingToVerify',
  'SignatureValid',
  // Mounted
  'ImageMounted',
  'NotMounted',
  // IntegrityLost; also Ready and Degraded where it ends a container
  'ImageIntact',
  'ImageWritten',
  'BlocksCorrupted',
  'IntegrityLost',
  // Ready
  'Running',
  'Settling',
  'NotReady',
  'Paused',
  'NotWanted',
  'Starting',
  'Stopping',
  'Backoff',
  'Exited',
  'Scheduled',
  'StartFailed',
  'RestartLimit',
  'TimedOut',
  'Unhealthy',
  'WatchdogExpired',
  'WaitingForPackage',
  'WaitingForDependency',
  'WaitingForResource',
  // UpdateAvailable
  'HigherVersionInstalled',
  'UpToDate',
  // Degraded
  'AsExpected',
  'ReplacementWaits',
  'MissingOnHost',
  'ManifestDefect',
  'ForeignPackage',
  'StepFailed',
  'PackageChanged',
  'BadImage',
  'UnsupportedImage',
  'BadName',
  'BadIntegrity',
  'NoDeviceMapper',
  'UnknownRepository',
  'RepositoryFull',
  'RepositoryReadOnly',
  'Duplicate',
  'BadPackage',
  'WrongPackage',
  'SourceMissing',
  'SourceNotTrusted',
  'SizeMismatch',
  'AlreadyInstalled',
  'CgroupRefused',
  'NoController',
  'BadLimit',
  'MissingResource',
  'DataNotKept',
] as const;
export type ConditionReason = (typeof conditionReasons)[number];

/** A condition in the sense that Kubernetes gives the word. `generation` is the one that last changed the entry. */
export interface Condition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: ConditionReason;
  readonly message: string;
  /** What the reason is about, where it is not the container itself: the resource (name:version) of MissingResource. */
  readonly subject?: string;
  readonly generation: number;
  /** RFC 3339, UTC. */
  readonly lastTransition: string;
}

/** Times are RFC 3339, UTC. */
export interface ScheduleStatus {
  /** The next start; null: there is none, or nobody knows when, as long as the clock has not been set. */
  readonly next: string | null;
  /** Its times are read off the wall clock, which has not been set. */
  readonly waitsForClock: boolean;
  /** A start is due, and waits for something. */
  readonly due: boolean;
  /** The last run that has begun; `at` null: nobody knew what time it was. */
  readonly last: { readonly at: string | null; readonly exit: Exit | null } | null;
}

export interface ContainerStatus {
  readonly version: string | null;
  readonly repository: string | null;
  readonly desired: 'absent' | 'installed' | 'mounted' | 'running';
  readonly phase: Phase;
  readonly mounted: boolean;
  /** The container's init as the host sees it. */
  readonly pid: number | null;
  /** Its processes stand still: the kernel has frozen them. */
  readonly paused: boolean;
  readonly since: string;
  readonly restarts: number;
  readonly nextRestart: string | null;
  readonly lastExit: Exit | null;
  /** Of what is started at certain times; null: it is not. */
  readonly schedule: ScheduleStatus | null;
  /** What the container says of itself (STATUS= of sd_notify(3)); '' = nothing. */
  readonly says: string;
  readonly conditions: readonly Condition[];
}

export interface RepositoryStatus {
  readonly type: 'fs' | 'mem';
  readonly verified: boolean;
  readonly integrity: Integrity;
  readonly packages: number;
  readonly size: number;
  /** Files that are no package, and why; and why the repository itself cannot be read. */
  readonly problems: readonly string[];
}

export interface DocumentStatus {
  readonly status: 'ok' | 'invalid' | 'notWritable';
  readonly generation: number;
  /** `line` and `column` count from 1, 0 = no place; `excerpt` is the line with a caret below the place, '' = no place. */
  readonly error: {
    readonly line: number;
    readonly column: number;
    readonly message: string;
    readonly excerpt: string;
  } | null;
}

/**
 * What keeps the runtime itself from doing all that it should. `NotWatched`: the kernel does not tell of changes there, and a
 * slow timer looks instead. `Unreadable`: what was known before counts, and it is read again and again. `NotDurable`: what is
 * in force is not all on the disk. `DocumentRefused`: what the file says does not count here, and why.
 */
export const runtimeConditionTypes = ['NotWatched', 'Unreadable', 'NotDurable', 'DocumentRefused'] as const;
export type RuntimeConditionType = (typeof runtimeConditionTypes)[number];

export interface RuntimeCondition {
  readonly type: RuntimeConditionType;
  /** What it is about: a path as a rule. */
  readonly subject: string;
  readonly message: string;
  /** RFC 3339, UTC. */
  readonly since: string;
}

/** A field that does not come from the document but from a patch that lasts until the boot ends. */
export interface FieldOrigin {
  readonly pointer: string;
  readonly origin: string;
  readonly generation: number;
  /** What was ordered: `stop idle`, or `patch`. */
  readonly command: string;
}

/** A document on trial, or how the last trial ended. Times of `terms` are ms, the others RFC 3339. */
export interface TrialStatus {
  readonly state: TrialState;
  readonly generation: number;
  /** What a revert goes to. */
  readonly confirmed: number;
  readonly terms: TrialTerms;
  readonly since: string;
  /** Boots that have begun with it unconfirmed. */
  readonly boots: number;
  /** When it goes back unless it is confirmed before; null = it is not in force, or at no time. */
  readonly until: string | null;
  /** What it waits for. */
  readonly waits: string | null;
  /** Packages that a revert needs and that are not installed any more. */
  readonly lacking: readonly string[];
  /** Whose persistent data (name:version) is kept as it was before. */
  readonly kept: readonly string[];
  readonly cause: { readonly reason: CauseReason; readonly message: string; readonly time: string } | null;
  /** Patches of consoles that a revert has dropped. */
  readonly dropped: readonly string[];
}

/** How the reconciler rests: it ends while nothing is to be done, and something that happens starts it again. */
export interface SleepStatus {
  /** ms without anything to do; null: it never sleeps. */
  readonly after: number | null;
  /** The last sleep: RFC 3339, and what ended it. */
  readonly last: { readonly since: string; readonly until: string; readonly reason: string } | null;
  /** Wakes of this day (UTC), in all and by reason. */
  readonly today: number;
  readonly reasons: Readonly<Record<string, number>>;
}

export interface Status {
  readonly generation: number;
  readonly observedGeneration: number;
  readonly converged: boolean;
  readonly document: DocumentStatus;
  /** Those that stand; none when all is well. */
  readonly conditions: readonly RuntimeCondition[];
  /** What commands have set over the document until the boot ends. */
  readonly overlay: readonly FieldOrigin[];
  readonly sleep: SleepStatus;
  /** Null: there never was a trial. */
  readonly trial: TrialStatus | null;
  readonly repositories: Readonly<Record<string, RepositoryStatus>>;
  /** By entry key: a name, or name:version. */
  readonly containers: Readonly<Record<string, ContainerStatus>>;
}

/** An error that has no place in the text. */
export function noPlace(message: string): NonNullable<DocumentStatus['error']> {
  return { line: 0, column: 0, message, excerpt: '' };
}

/** Whether two statuses say the same. */
export function sameStatus(a: DocumentStatus, b: DocumentStatus): boolean {
  const same = a.status === b.status && a.generation === b.generation && a.error?.message === b.error?.message;
  return same && a.error?.line === b.error?.line && a.error?.column === b.error?.column;
}

/** The status of a document that was read and is in force. */
export function goodDocument(generation: number): DocumentStatus {
  return { status: 'ok', generation, error: null };
}

/** The status while the file cannot be used and an earlier generation stays in force. */
export function badDocument(before: DocumentStatus, error: NonNullable<DocumentStatus['error']>): DocumentStatus {
  return { status: 'invalid', generation: before.generation, error };
}

/** The status when patches cannot be written to the document. */
export function notWritable(before: DocumentStatus, message: string): DocumentStatus {
  return { status: 'notWritable', generation: before.generation, error: noPlace(message) };
}
