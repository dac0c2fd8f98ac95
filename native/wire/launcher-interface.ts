// What the launcher does for the reconciler, and what it tells: the interface of its client.
import type { Attempt, Left } from './attempt.ts';
import type { HealthOrder } from './health-order.ts';
import type { Op } from './ops.ts';

export interface Hello {
  /** The launcher's process id. */
  readonly pid: number;
  /** How many reconcilers it has started, this one included. */
  readonly starts: number;
  /** The generation that was last tried, and how many reconcilers have died since. */
  readonly generation: number;
  readonly deaths: number;
  /** When the launcher began, CLOCK_BOOTTIME in ms. */
  readonly startedAt: number;
  /** It was asked to end; the `terminate` event follows. */
  readonly terminating: boolean;
  /** The sleep from which this process was woken; null: it follows on a death, or is the first. */
  readonly slept: Slept | null;
  /** Sleeps since the launcher began. */
  readonly sleeps: number;
  /** How often one launcher has taken over from another since the first one began. */
  readonly takeovers: number;
}

/** A sleep of the reconciler, and what rang first. */
export interface Slept {
  /** CLOCK_BOOTTIME in ms. */
  readonly since: number;
  readonly rang: 'watch' | 'deadline' | 'attempt' | 'signal' | 'output';
  /** Of the watch; 0 for the others. */
  readonly key: number;
}

/** Everything that earlier reconcilers have left. `descriptors` are inherited and open in this process. */
export interface Remembered {
  readonly hello: Hello;
  readonly global: Uint8Array;
  readonly descriptors: Map<string, number>;
  readonly attempts: Attempt[];
}

export interface LauncherEvents {
  /** An attempt is prepared, waits for another, runs, has ended or has failed. After the answer to the request that caused it. */
  attempt(attempt: Attempt): void;
  /** New output; said once, until the next read of that attempt. */
  output(id: number, begin: number, end: number): void;
  /** A watch has fired and is silent until it is rearmed. */
  watch(key: number): void;
  deadline(): void;
  /** A session has ended, and all of it is reaped. */
  left(left: Left): void;
  /** The launcher was asked to end by this signal: stop everything, then call `stop`. */
  terminate(signal: number): void;
  /** Nothing more comes. `error` is null after close(). */
  closed(error: Error | null): void;
}

export interface Prepare {
  /** Larger than that of every attempt before. */
  readonly id: number;
  readonly name: string;
  /** 32 bytes in hex. */
  readonly hash: string;
  /** At most 4096 bytes, for the next reconciler. */
  readonly record: Uint8Array;
  readonly ops: readonly Op[];
}

export interface Go {
  readonly id: number;
  /** Waits until this attempt has ended; 0 = does not wait. */
  readonly after: number;
  readonly record: Uint8Array;
  readonly ops: readonly Op[];
}

/** A process that joins the container of an attempt that runs: a session, with an id of its own. */
export interface Join {
  readonly id: number;
  readonly attempt: number;
  readonly ops: readonly Op[];
}

/** POLLPRI, an eventfd's count (the launcher reads it), POLLIN, POLLOUT. */
export type WatchKind = 'priority' | 'eventfd' | 'readable' | 'writable';

/** A read of the output ring: `data` begins at `offset` (later than asked for when the oldest was dropped). */
export interface Output {
  readonly offset: number;
  readonly end: number;
  readonly data: Uint8Array;
}

/**
 * Every request rejects with LaunchError when the launcher refuses it, with WireError or SyscallError when it cannot be
 * sent. Descriptors in a request stay the caller's, open until it is answered.
 */
export interface Launcher {
  /** Resolves when the init is prepared. Known already, with the same hash: as if it were done now. */
  prepare(prepare: Prepare): Promise<void>;
  /** Resolves when exec of the application is reached, or, where it has to wait for another attempt, at once. */
  go(go: Go): Promise<void>;
  /** Resolves at delivery. An attempt that has ended is no error. */
  kill(id: number, signal: number): Promise<void>;
  /**
   * Resolves when exec is reached, or the file that is to be copied is open; `left` tells of the end. It ends with the container,
   * and with this process.
   */
  join(join: Join): Promise<void>;
  /** To the process group of a session; SIGKILL ends all of it that is known. One that has ended is no error. */
  signal(id: number, signal: number): Promise<void>;
  /** A prepared one is killed first; of a running one it rejects with EBUSY. */
  forget(id: number): Promise<void>;
  /** Has a running one asked how it is, instead of what it was asked before. EAGAIN: whoever asks has just died. */
  health(order: HealthOrder): Promise<void>;
  /** id 0: the global record. */
  record(id: number, record: Uint8Array): Promise<void>;
  /**
   * Has the `watch` event sent once when the descriptor is ready. The same key replaces. Of POLLPRI only what happens after
   * this, or rearm, resolves is told for certain: look once then.
   */
  watch(key: number, kind: WatchKind, fd: number): Promise<void>;
  rearm(key: number): Promise<void>;
  unwatch(key: number): Promise<void>;
  /** The one deadline, CLOCK_BOOTTIME in ms; null = none. */
  deadline(boottime: number | null): Promise<void>;
  /** At most `max` bytes (128 KiB) of an attempt's output. Nothing is consumed. */
  read(id: number, offset: number, max: number): Promise<Output>;
  /** Gives a descriptor to the launcher, for the next reconciler. */
  keep(name: string, fd: number): Promise<void>;
  drop(name: string): Promise<void>;
  /**
   * Takes a connection that waits at the listening socket that is kept under the name `listener`; false: none does. Its descriptor
   * comes over the socket `to` before this resolves, and is kept under `name` from the same moment on (null: it is not), so that no
   * death in between loses it.
   */
  accept(listener: string, name: string | null, to: number): Promise<boolean>;
  /**
   * Locks an open directory for as long as the launcher lives; `note` is its open .lock, null: none can be opened. One that the
   * launcher has is no error. Rejects with LaunchError (EAGAIN) whose subject says who has it.
   */
  lock(directory: string, fd: number, note: number | null): Promise<void>;
  /** This generation was adopted and is acted on. */
  ready(generation: number): Promise<void>;
  /** This generation is about to be acted on. Goes out with the next request, or within milliseconds. */
  trying(generation: number): Promise<void>;
  /**
   * The end has begun and takes at most so many ms. When it has not come by then, and some time after, the launcher ends the
   * containers itself. The first that is said counts.
   */
  ending(milliseconds: number): Promise<void>;
  /**
   * What the init system shows as our status: at most 512 bytes without a control character. Goes out with the next request,
   * or within milliseconds.
   */
  status(text: string): Promise<void>;
  /** The launcher ends with this exit status as soon as this process has exited. */
  stop(status: number): Promise<void>;
  /**
   * Asks to sleep: with true, nothing is told any more, the exit of this process is no death, and what rings starts the next
   * one; with `output`, what containers write rings, too. False: there is something that was not heard yet. Any other request
   * after it takes it back, and what rang meanwhile is told.
   */
  sleep(output: boolean): Promise<boolean>;
  /**
   * Has another installation's launcher prove, in a child and within so many ms, that it would go on from the state as it is;
   * `command` is its command line, beginning with an absolute path. Resolves with what its reconciler reports. Rejects with
   * LaunchError, whose subject says why not; nothing has changed then.
   */
  prove(command: readonly string[], milliseconds: number): Promise<Uint8Array>;
  /** What has proven itself takes over, once this process has been killed, which is what happens next. Rejects with LaunchError. */
  takeover(): Promise<void>;
  /** Of a reconciler that is started to prove itself (NORTHSTATE_PROOF): its verdict, and what it has to say. The launcher ends then. */
  proven(isProven: boolean, report: Uint8Array): Promise<void>;
  /** Whether no request waits for its answer. */
  idle(): boolean;
  close(): void;
}
