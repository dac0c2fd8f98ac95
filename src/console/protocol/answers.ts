// What the console answers and tells: the types of its messages, for clients.
import type { ToldFinding } from '../../preflight/finding.ts';
import type { Operation } from 'fast-json-patch';
import type { Counts } from '../../../controllers/cgroups/cgroup-counts.ts';
import type { MemoryEvents } from '../../../controllers/cgroups/cgroup-alarm.ts';
import type { FieldOrigin, Status, TrialStatus } from '../../../state/status.ts';
import type { Unmet } from '../../../controllers/status/explain.ts';
import type { LogLine, TakenOver } from '../../runtime/runtime.ts';

/** Where an answer stands: numbers of changes and events count within a boot. */
export interface Place {
  /** /proc/sys/kernel/random/boot_id */
  readonly boot: string;
  /** The number of the last change, of the last event. */
  readonly sequence: number;
}

/** `get` of the status. */
export interface Snapshot extends Place {
  readonly generation: number;
  readonly status: Status;
}

/** `get` of what is desired. */
export interface DesiredView extends Place {
  readonly generation: number;
  /** The document's text; null where one container was asked for. */
  readonly document: string | null;
  /** What the document says, with the patches that last until the boot ends. */
  readonly desired: Readonly<Record<string, unknown>>;
  /** The same with all defaults. */
  readonly effective: Readonly<Record<string, unknown>>;
  /** Where each field of `desired` comes from; every other is a default, or the manifest's. */
  readonly origins: readonly {
    readonly pointer: string;
    readonly lifetime: 'document' | 'boot';
    readonly origin: string;
    readonly generation: number;
  }[];
}

/** `get` of what is observed. */
export interface ObservedView extends Place {
  readonly generation: number;
  readonly observed: Readonly<Record<string, unknown>>;
}

/** What of a journal is no longer kept: a client that was at `since` goes on at `oldest`. */
export interface Gap {
  readonly since: number;
  readonly boot: string;
  readonly oldest: number;
}

/** A change of the status: operations of RFC 6902, and their number. */
export interface Change {
  readonly operations: readonly Operation[];
  readonly sequence: number;
}

/** `watch`: the status, or (null) the changes that the client has missed; a gap when those are no longer kept. */
export interface Watching extends Place {
  readonly status: Status | null;
  readonly missed: readonly Change[];
  readonly gap: Gap | null;
}

/** An event; `monotonic` is ms since the boot, `time` RFC 3339 by the wall clock of that moment. */
export interface StampedEvent extends Place {
  readonly monotonic: number;
  readonly time: string;
  readonly event: RuntimeEventMessage;
}

export interface PlannedStep {
  readonly op: string;
  readonly name: string;
  readonly text: string;
  readonly waits: string | null;
  /** Bytes that an installation fetches. */
  readonly fetch?: number;
}

/** A file that might be a container's package, and is none, or is there twice. */
export interface BrokenFile {
  readonly path: string;
  readonly message: string;
}

/** `describe`: what explains one container. */
export interface Description {
  readonly name: string;
  readonly status: Status['containers'][string] | null;
  readonly entry: Readonly<Record<string, unknown>> | null;
  /** Fields of the entry that last until the boot ends. */
  readonly overlay: readonly FieldOrigin[];
  readonly files: readonly BrokenFile[];
  readonly lock: { readonly version: string; readonly repository: string; readonly digest: string | null } | null;
  readonly package: { readonly path: string; readonly repository: string; readonly digest: string | null } | null;
  readonly steps: readonly PlannedStep[];
}

/** A stored generation of the document. `time` is RFC 3339, UTC. */
export interface StoredGeneration {
  readonly generation: number;
  readonly kind: string;
  readonly origin: string;
  readonly time: string;
  readonly schema: string;
  readonly runtime: string;
  readonly inForce: boolean;
  /** Somebody has had it go on over what stood against it. */
  readonly forced: boolean;
  /** Of what is on trial: staged, active or reverting; null: it is not. */
  readonly trial: TrialStatus['state'] | null;
}

/** What has failed in a trial; `time` is RFC 3339, UTC. */
export interface InQuarantine {
  readonly kind: 'document' | 'package';
  readonly digest: string;
  readonly name: string;
  readonly reason: string;
  readonly message: string;
  readonly time: string;
}

export interface ForContainer {
  readonly container: string;
}
export interface ForName {
  readonly name: string;
}
export type ErrorMessage = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
export type Outcome<T> = { readonly ok: T } | { readonly error: { readonly error: ErrorMessage } };

/** `not_durable`: why what was done does not last as long as was asked, where it does not: as a rule until the boot ends. */
export interface Lasting {
  readonly not_durable?: string | undefined;
}

/** A generation that was made. */
export interface Made extends Lasting {
  readonly generation: number;
}

/** What each request gives. */
export interface Answers {
  readonly ident: string;
  readonly list: readonly string[];
  readonly repositories: readonly string[];
  readonly inspect: ForContainer & { readonly data: Readonly<Record<string, unknown>> };
  /** `data_kept_for`: the versions that the persistent data stays for, though it was to be wiped. */
  readonly uninstall: ForContainer & Lasting & { readonly data_kept_for?: readonly string[] };
  readonly start: ForContainer & Lasting;
  readonly kill: ForContainer & Lasting;
  readonly mount: readonly Outcome<ForContainer & Lasting>[];
  readonly umount: readonly Outcome<ForContainer & Lasting>[];
  /** `steps` and `findings` of a dry run only; else what the document's file is, and what commands hold over it until the boot ends. */
  readonly apply: Made & {
    readonly steps?: readonly PlannedStep[];
    readonly findings?: readonly ToldFinding[];
    readonly document?: Status['document'];
    readonly overlay?: readonly FieldOrigin[];
  };
  readonly patch: Made;
  readonly get: Snapshot;
  readonly watch: Watching;
  readonly plan: { readonly steps: readonly PlannedStep[]; readonly findings: readonly ToldFinding[] };
  /** name:version, the size of the package, and how many bytes of it are not here. */
  readonly install_source: Lasting & { readonly container: string; readonly size: number; readonly fetch: number };
  readonly lock: { readonly name: string; readonly ttl: number };
  readonly unlock: { readonly name: string };
  readonly describe: Description;
  readonly explain: {
    readonly name: string;
    readonly unmet: Unmet | null;
    /** Of what is started at certain times. */
    readonly schedule: Status['containers'][string]['schedule'];
    readonly overlay: readonly FieldOrigin[];
    readonly files: readonly BrokenFile[];
    /** A document that is to come into force, and what holds it up. */
    readonly staged: { readonly generation: number; readonly waits: string | null } | null;
  };
  /** What was taken away. */
  readonly overlay_drop: Made & { readonly dropped: readonly FieldOrigin[] };
  readonly logs: ForName & { readonly boot: string };
  readonly events: Place & { readonly events: readonly StampedEvent[]; readonly gap: Gap | null };
  /** `reason`: what is missing, or has failed; null when it has converged. */
  readonly wait: { readonly result: 'converged' | 'failed' | 'timeout'; readonly reason: string | null };
  readonly history: { readonly generations: readonly StoredGeneration[] };
  readonly rollback: Made;
  readonly confirm: Made;
  readonly revert: Made;
  readonly trial: { readonly trial: TrialStatus | null };
  readonly quarantine: { readonly quarantine: readonly InQuarantine[] };
  /** Names of what was released. */
  readonly quarantine_release: { readonly released: readonly string[] };
  /** What the archive may be called; its bytes follow as notifications. */
  readonly report: ForName;
  readonly token_create: string;
  readonly token_verify: 'Ok' | 'Invalid' | 'Expired' | 'Future';
  readonly stop: ForName & Lasting;
  readonly pause: ForName & Lasting;
  readonly resume: ForName & Lasting;
  readonly restart: ForName & Lasting;
  readonly update: ForName & Lasting;
  /** OpenMetrics, and the older form that Prometheus' tools check. */
  readonly metrics: {
    readonly openmetrics: string;
    readonly prometheus: string;
    readonly counts: Readonly<Record<string, Counts>>;
  };
  readonly reexec: TakenOver;
  readonly exec: ForContainer;
  readonly run_once: ForContainer;
  readonly copy: ForContainer;
  readonly session_input: null;
  readonly session_resize: null;
  readonly session_signal: null;
  readonly shutdown: null;
}

/** How a session ended; `failure` says why a file could not be copied to its end. */
export interface SessionEnd {
  readonly exit: { readonly code: number } | { readonly signal: number };
  readonly failure: string | null;
}

/** What Northstar's clients are told, `integrity_lost`, `data`, `boot_plan` and `trial`. */
export type RuntimeEventMessage =
  | 'shutdown'
  | { readonly started: string }
  | { readonly install: string }
  | { readonly uninstall: string }
  | {
      readonly exit: readonly [
        string,
        { readonly exit: { readonly code: number } } | { readonly signalled: { readonly signal: number } },
      ];
    }
  | { readonly c_group: readonly [string, { readonly memory: MemoryEvents }] }
  | { readonly integrity_lost: readonly [string, 'written' | 'corrupted'] }
  /** What has become of its persistent data over a trial. */
  | { readonly data: readonly [string, 'kept' | 'restored' | 'dropped'] }
  | {
      readonly session: readonly [string, { readonly by: string; readonly does: string; readonly privileged: boolean }];
    }
  | {
      readonly session_end: readonly [
        string,
        { readonly by: string } & (
          { readonly exit: { readonly code: number } } | { readonly signalled: { readonly signal: number } }
        ),
      ];
    }
  | { readonly locked: readonly [string, { readonly by: string }] }
  | { readonly unlocked: readonly [string, { readonly by: string }] }
  | { readonly run_once: readonly [string, { readonly by: string }] }
  | {
      readonly run_once_end: readonly [
        string,
        { readonly by: string } & (
          { readonly exit: { readonly code: number } } | { readonly signalled: { readonly signal: number } }
        ),
      ];
    }
  | {
      readonly boot_plan: {
        readonly started: number;
        readonly left: readonly string[];
        readonly refused: string | null;
      };
    }
  | {
      readonly trial: {
        readonly state: TrialStatus['state'];
        readonly generation: number;
        readonly confirmed: number;
        readonly reason: string | null;
      };
    };

export type Notification =
  | RuntimeEventMessage
  | { readonly status: Change }
  | { readonly event: StampedEvent }
  | { readonly report: { readonly data: string } }
  | { readonly report_end: { readonly size: number; readonly error: ErrorMessage | null } }
  | { readonly session_output: { readonly stream: 'stdout' | 'stderr'; readonly data: string } }
  /** So many bytes of input are on their way into the program, all in all. */
  | { readonly session_taken: { readonly bytes: number } }
  | { readonly session_over: SessionEnd }
  | { readonly log: LogLine & ForName }
  | { readonly log_end: ForName & { readonly error: ErrorMessage | null } };
