// What the console and the command line may ask of the runtime. daemon.ts implements it.
import type { Operation } from 'fast-json-patch';
import type { Counts } from '../../controllers/cgroups/cgroup-counts.ts';
import type { RuntimeEvent, Telling } from '../../controllers/events.ts';
import type { TerminalSize } from '../../native/pseudo-terminal.ts';
import type { Unmet } from '../../controllers/status/explain.ts';
import type { Command } from '../../state/document/command-patches.ts';
import type { NotDurable } from '../../state/document/core.ts';
import type { Summary } from '../../state/document/generation.ts';
import type { InForceNow } from '../../state/document/documents.ts';
import type { MakePatch } from '../../state/document/patches.ts';
import type { FieldOrigin } from '../../state/status.ts';
import type { State } from '../../state/store.ts';
import type { Past } from './journal.ts';
import type { PlannedDocument } from './plan-document.ts';

/** How long a patch lasts: in the document, or until the boot ends. */
export type Lifetime = 'document' | 'boot';

/** An event with its times: `monotonic` is CLOCK_BOOTTIME in ms, `time` RFC 3339 by the wall clock of that moment. */
export interface StampedEvent {
  readonly sequence: number;
  readonly monotonic: number;
  readonly time: string;
  readonly event: RuntimeEvent;
  /** What of an attempt it tells. */
  readonly of?: Telling;
}

/** A change of the status: RFC 6902 operations and their number. */
export interface StatusChange {
  readonly sequence: number;
  readonly operations: readonly Operation[];
}

/** One line of a container's output. `time` is ms since the epoch. */
export interface LogLine {
  readonly time: number;
  readonly stream: 'stdout' | 'stderr';
  readonly line: string;
}

/** What is said with a whole document. */
export interface ApplyGiven {
  readonly expected: number | null;
  readonly origin: string;
  /** It is only checked, and the generation in force is given. */
  readonly dryRun?: boolean;
  readonly signature?: string | null;
  /** Whatever a look ahead finds; the history says so. */
  readonly force?: boolean;
  /** It is refused for what a look ahead finds, also without a trial. */
  readonly strict?: boolean;
  /** It may stop more than half of what runs. */
  readonly prune?: boolean;
}

/** Failures that a console answers with; `reason` is the snake_case name of the protocol's error. */
export class RuntimeError extends Error {
  readonly reason: string;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(reason: string, message: string, detail: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = 'RuntimeError';
    this.reason = reason;
    this.detail = detail;
  }
}

/** A package that is not here. */
export interface RemoteSource {
  /** name:version, as it says itself. */
  readonly container: string;
  /** Of the package, in bytes. */
  readonly size: number;
  /** Bytes that would come: those that no installed package of the name has. */
  readonly fetch: number;
}

/** What there is to say of a command that has been performed. */
export interface Performed {
  /** For whom (name:version) persistent data stays that was to be wiped. */
  readonly dataKeptFor: readonly string[];
  readonly notDurable: NotDurable;
}

/** The runtime that has taken over. */
export interface TakenOver {
  /** Its version. */
  readonly runtime: string;
  readonly takeovers: number;
}

export interface Waited {
  readonly result: 'converged' | 'failed' | 'timeout';
  readonly reason: string | null;
}

/** What joins a container: a program, or a copy of a file, with the rights of its application unless it says otherwise. */
export interface SessionRequest {
  readonly does:
    | { readonly exec: readonly string[] }
    | {
        readonly copy: {
          readonly direction: 'in' | 'out';
          readonly path: string;
          readonly size: number;
          readonly mode: number;
        };
      };
  /** Whether it has an input. */
  readonly input: boolean;
  readonly terminal: (TerminalSize & { readonly type: string }) | null;
  readonly user: { readonly uid: number; readonly gid: number } | null;
  readonly privileged: boolean;
  /** Where the container has no shell, ours is there for it. */
  readonly shell: boolean;
}

/** One run, whatever the document wants. */
export interface RunRequest {
  /** A name, or name:version. */
  readonly name: string;
  /** Instead of the entry's and the manifest's, where there are any. */
  readonly args: readonly string[];
  /** ms that it may last; null = as its entry says. */
  readonly timeout: number | null;
}

/** One that has joined, or that was run for whoever waits for its end. */
export interface ContainerSession {
  /** name:version */
  readonly container: string;
  /** What it writes, until its end; for one reader, and nothing more is taken while that lags behind. */
  output(): AsyncIterable<{ readonly stream: 'stdout' | 'stderr'; readonly data: Buffer }>;
  /** Resolves when the program has room for it, or reads no more. */
  write(data: Uint8Array): Promise<void>;
  /** There is no more input. */
  end(): void;
  resize(size: TerminalSize): void;
  signal(number: number): Promise<void>;
  readonly ended: Promise<{
    readonly exit: { readonly code: number } | { readonly signal: number };
    /** Why a file was not copied to its end. */
    readonly failure: string | null;
  }>;
  /** Ends it. */
  close(): Promise<void>;
}

export interface Runtime {
  /** Documents must be signed here. */
  readonly signed: boolean;
  /** The present state; immutable. */
  state(): State;
  /** /proc/sys/kernel/random/boot_id: numbers of changes and events count within it. */
  readonly boot: string;
  /** The latest changes of the status. */
  readonly changes: Past<StatusChange>;
  /** Calls the listener with every change of the status; gives the function that ends it. */
  subscribe(listener: (change: StatusChange) => void): () => void;
  /** The latest events. */
  readonly pastEvents: Past<StampedEvent>;
  /** Calls the listener with every event; gives the function that ends it. */
  events(listener: (stamped: StampedEvent) => void): () => void;
  /**
   * Turns an imperative command into a patch and waits until its effect is observed or has failed (RuntimeError). `begun`: an
   * earlier reconciler had begun with it, and asked for this run if it was a start.
   */
  command(
    command: Command,
    options: { lifetime: Lifetime; origin: string; timeout: number; begun?: number | undefined },
  ): Promise<Performed>;
  /** Begins when all that was begun for the same name has ended: the second of two starts is judged by what the first made. */
  inTurn<T>(name: string, act: () => Promise<T>): Promise<T>;
  /** A whole new document. Rejects with RuntimeError `preflight` where a look ahead stands against it. */
  apply(text: string, options: ApplyGiven): Promise<{ generation: number }>;
  /** A patch of the document, as Documents.patchRead. */
  patch(
    make: MakePatch,
    options: { expected: number | null; lifetime: Lifetime; origin: string },
  ): Promise<{ generation: number; notDurable: NotDurable }>;
  /** A stored generation again, as a new one. */
  rollback(generation: number, options: { expected: number | null; origin: string }): Promise<{ generation: number }>;
  /** Takes away what commands hold until the boot ends, of a name or (null) altogether, as Documents.dropOverlay. */
  dropOverlay(
    name: string | null,
  ): Promise<{ generation: number; dropped: readonly FieldOrigin[]; notDurable: NotDurable }>;
  /** Why what is in force for so long may not last as long, as Documents.notDurable. */
  notDurable(lifetime: Lifetime): NotDurable;
  /** The document in force. */
  document(): InForceNow;
  /** The chain of unmet conditions of a container (a key of the status); null when it is as the document wants it. */
  explain(name: string): Unmet | null;
  /** Writes everything that explains the present state, without secrets, as a ZIP archive; gives its bytes. */
  report(): AsyncIterable<Buffer>;
  /** The ordered steps that a document (null: the one in force) would take, without doing them, and what would keep it from being reached. */
  plan(text: string | null, options?: { readonly looksAhead: boolean }): Promise<PlannedDocument>;
  /** What a package on a server is, and how many bytes of it would be fetched. Rejects with RuntimeError or the server's failure. */
  lookAtSource(source: string): Promise<RemoteSource>;
  /**
   * Resolves when what `generation` has changed (null: everything that the document in force asks for) is ready, or cannot
   * be, or after `timeout` ms; `reason` is what is missing or has failed. `confirmed`: when it is on trial no more.
   */
  wait(options: { generation: number | null; timeout: number; what?: 'reached' | 'confirmed' }): Promise<Waited>;
  /** Confirms the document on trial, or takes it back; null = whichever is on trial. Rejects with NoTrial. */
  confirm(generation: number | null): Promise<{ generation: number; notDurable: NotDurable }>;
  revert(generation: number | null, origin: string): Promise<{ generation: number; notDurable: NotDurable }>;
  /** Takes out of quarantine, as Documents.release. */
  release(which: string | null): Promise<readonly string[]>;
  /** The stored generations of the document, oldest first. */
  history(): Promise<readonly Summary[]>;
  /** The text of one of them. Rejects with UnknownGeneration. */
  textOf(generation: number): Promise<string>;
  /**
   * Takes a package of `size` bytes into a repository, in pieces that are valid until the next is asked for; gives name:version,
   * and why its entry does not last, where it does not.
   */
  install(
    repository: string,
    size: number,
    pieces: AsyncIterable<Uint8Array>,
    options: { lifetime: Lifetime; origin: string },
  ): Promise<{ container: string; notDurable: NotDurable }>;
  /**
   * The kept output of a container, then, with `follow`, what comes, until the signal. `previous`: of the run before the last one
   * only.
   */
  logs(
    name: string,
    options: { since: number | null; follow: boolean; previous?: boolean; signal: AbortSignal },
  ): AsyncIterable<LogLine>;
  /** Statistics of a running container's groups, in the console's shape. */
  statistics(name: string): Promise<Readonly<Record<string, unknown>>>;
  /** Runs a container once for whoever waits (`by`), beside what the document wants of it. Throws RuntimeError. */
  runOnce(request: RunRequest, by: string): Promise<ContainerSession>;
  /** What is measured, as text; and of each container that runs (by entry key) what its groups count. */
  metrics(): Promise<{
    readonly openmetrics: string;
    readonly prometheus: string;
    readonly counts: Readonly<Record<string, Counts>>;
  }>;
  /** Holds up the replacement of what runs of a name, for `ttl` ms or as long as its entry allows, which it gives. Throws RuntimeError. */
  lock(name: string, ttl: number, by: string): Promise<number>;
  /** Gives that back; where nothing is locked it does nothing. Throws RuntimeError. */
  unlock(name: string, by: string): Promise<void>;
  /** Joins a container (its name) that runs. Throws RuntimeError. `by`: who asks, for the record of events. */
  join(name: string, request: SessionRequest, by: string): Promise<ContainerSession>;
  /** How often one launcher has taken over from another since the first one began. */
  readonly takeovers: number;
  /**
   * Has another installation (its directory; null: ours, as it is now) prove, within `timeout` ms, that it would go on from here, and
   * take over. Resolves in the process that comes afterwards, which is told how many takeovers there had been (`since`); rejects
   * with RuntimeError when nothing has changed.
   */
  reexec(request: { to: string | null; timeout: number; since: number | null }): Promise<TakenOver>;
  /** Resolves when a change may begin that is not to be done twice; gives the function that says that it is over. */
  enter(): Promise<() => void>;
  /** Stops every container in order and ends the runtime. */
  shutdown(): void;
}
