// The client of the launcher: requests over the inherited socket, and what the launcher tells.
import { Socket } from 'node:net';
import { decodeAttempt, type Attempt } from './attempt.ts';
import type { Op } from './ops.ts';
import { createRequests, FILLER } from './launcher-requests.ts';
import { createFrameSender } from './frame-sender.ts';
import { createDecoder, createFrameReader, event, WIRE_VERSION, WireError, type Frame } from './wire.ts';

export { LaunchError, type Attempt } from './attempt.ts';

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
  /** A prepared one is killed first; of a running one it rejects with EBUSY. */
  forget(id: number): Promise<void>;
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
  /** This generation was adopted and is acted on. */
  ready(generation: number): Promise<void>;
  /** This generation is about to be acted on. Goes out with the next request, or within milliseconds. */
  trying(generation: number): Promise<void>;
  /** The launcher ends with this exit status as soon as this process has exited. */
  stop(status: number): Promise<void>;
  close(): void;
}

/**
 * Speaks to the launcher on the other side of descriptor `fd`. Resolves when everything it remembers has been read;
 * events are told from the next turn of Node's loop on, so that whoever awaits the connection has it by then. Rejects
 * with WireError on another version of the wire.
 */
export function connectLauncher(
  fd: number,
  events: LauncherEvents,
): Promise<{ launcher: Launcher; remembered: Remembered }> {
  return new Promise((resolve, reject) => {
    const socket = new Socket({ fd, readable: true, writable: true });
    const { requests, answer, fail } = createRequests(createFrameSender(fd, socket, FILLER, end));
    const greeting = createGreeting();
    let take = greet;
    let closed = false;

    function greet(frame: Frame): void {
      if (frame.type !== event.synced) return greeting.take(frame);
      const early: Frame[] = [];
      take = (next) => early.push(next);
      setImmediate(() => {
        take = tell;
        early.forEach(guard(tell));
      });
      resolve({ launcher: { ...requests, close: () => end(null) }, remembered: greeting.remembered() });
    }

    function tell(frame: Frame): void {
      if (!closed && !answer(frame)) tellEvent(frame, events);
    }

    /** What breaks the wire ends the connection. */
    function guard<T>(step: (value: T) => void): (value: T) => void {
      return (value) => {
        try {
          step(value);
        } catch (error) {
          end(error instanceof Error ? error : new Error(String(error)));
        }
      };
    }

    function end(error: Error | null): void {
      if (closed) return;
      closed = true;
      socket.destroy();
      const reason = error ?? new Error('the connection to the launcher was closed');
      fail(reason);
      reject(reason);
      events.closed(error);
    }

    socket.on('data', guard(createFrameReader((frame) => take(frame))));
    socket.on('error', end);
    socket.on('end', () => end(new Error('the launcher has closed the connection')));
  });
}

/** Collects what comes before E_SYNCED. */
function createGreeting(): { take(frame: Frame): void; remembered(): Remembered } {
  let hello: Hello | null = null;
  let global: Uint8Array = new Uint8Array();
  const descriptors = new Map<string, number>();
  const attempts = new Map<number, Attempt>();
  return {
    take({ type, body }) {
      const from = createDecoder(body);
      if (type === event.hello) {
        hello = decodeHello(body);
      } else if (type === event.global) {
        global = from.bytes();
      } else if (type === event.fd) {
        descriptors.set(from.text(), from.u32());
      } else if (type === event.attempt) {
        const attempt = decodeAttempt(body);
        attempts.set(attempt.id, attempt);
      } else if (type !== event.output) {
        throw new WireError(`a frame of type ${type} before the greeting's end`);
      }
    },
    remembered() {
      if (hello === null) throw new WireError('no greeting');
      return { hello, global, descriptors, attempts: [...attempts.values()].sort((a, b) => a.id - b.id) };
    },
  };
}

function decodeHello(body: Uint8Array): Hello {
  const from = createDecoder(body);
  const version = from.u32();
  if (version !== WIRE_VERSION) throw new WireError(`the launcher speaks version ${version}, not ${WIRE_VERSION}`);
  const hello: Hello = {
    pid: from.u32(),
    starts: from.u32(),
    generation: from.u64(),
    deaths: from.u32(),
    startedAt: from.u64() / 1e6,
    terminating: from.u8() !== 0,
  };
  from.end();
  return hello;
}

function tellEvent({ type, body }: Frame, events: LauncherEvents): void {
  const from = createDecoder(body);
  if (type === event.attempt) events.attempt(decodeAttempt(body));
  else if (type === event.output) events.output(from.u64(), from.u64(), from.u64());
  else if (type === event.watch) events.watch(from.u64());
  else if (type === event.deadline) events.deadline();
  else if (type === event.terminate) events.terminate(from.u32());
  else throw new WireError(`a frame of unknown type ${type}`);
}
