// The client of the launcher: requests over the inherited socket, and what the launcher tells.
import { Socket } from 'node:net';
import { decodeAttempt, decodeLeft, type Attempt } from './attempt.ts';
import { createRequests, FILLER } from './launcher-requests.ts';
import { createFrameSender } from './frame-sender.ts';
import { createDecoder, createFrameReader, event, WIRE_VERSION, WireError, type Decoder, type Frame } from './wire.ts';
import type { Hello, Remembered, LauncherEvents, Launcher } from './launcher-interface.ts';

export { LaunchError, type Attempt } from './attempt.ts';

/** A launcher of another version of the wire, from which only a takeover can be asked: that part keeps its form. */
export class OtherWire extends WireError {
  readonly launcher: Pick<Launcher, 'prove' | 'takeover'>;

  constructor(version: number, launcher: Pick<Launcher, 'prove' | 'takeover'>) {
    super(`the launcher speaks version ${version}, not ${WIRE_VERSION}`);
    this.launcher = launcher;
  }
}

/** The first version with a takeover. */
const firstWithTakeover = 7;

/**
 * Speaks to the launcher on the other side of descriptor `fd`. Resolves when everything it remembers has been read;
 * events are told from the next turn of Node's loop on, so that whoever awaits the connection has it by then. Rejects
 * with OtherWire on another version of the wire.
 */
export function connectLauncher(
  fd: number,
  events: LauncherEvents,
): Promise<{ launcher: Launcher; remembered: Remembered }> {
  return new Promise((resolve, reject) => {
    const socket = new Socket({ fd, readable: true, writable: true });
    const sender = createFrameSender(fd, socket, FILLER, end);
    const { requests, answer, idle, fail } = createRequests(sender);
    const greeting = createGreeting();
    let take = greet;
    let closed = false;
    /** Events that were taken: the launcher counts those that it has told. */
    let heard = 0;

    function greet(frame: Frame): void {
      const other = frame.type === event.hello ? createDecoder(frame.body).u32() : WIRE_VERSION;
      if (other !== WIRE_VERSION && other >= firstWithTakeover) {
        take = (next) => void answer(next);
        return reject(new OtherWire(other, requests));
      }
      if (told.has(frame.type)) heard += 1;
      if (frame.type !== event.synced) return greeting.take(frame);
      const early: Frame[] = [];
      take = (next) => early.push(next);
      setImmediate(() => {
        take = tell;
        early.forEach(guard(tell));
      });
      const sleep = (output: boolean): Promise<boolean> => requests.sleep(heard, output);
      resolve({ launcher: { ...requests, sleep, idle, close: () => end(null) }, remembered: greeting.remembered() });
    }

    function tell(frame: Frame): void {
      if (closed || answer(frame)) return;
      heard += 1;
      tellEvent(frame, events);
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

    /** Whatever is sent says that this process still hears. */
    function hear(frame: Frame): void {
      if (frame.type !== event.ask) return take(frame);
      heard += 1;
      sender.send(FILLER, []);
    }

    socket.on('data', guard(createFrameReader(hear)));
    socket.on('error', end);
    socket.on('end', () => end(new Error('the launcher has closed the connection')));
  });
}

/** What the launcher counts as told. */
const told: ReadonlySet<number> = new Set([event.attempt, event.synced, event.output]);

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
    ...decodeSlept(from),
    takeovers: from.u32(),
  };
  from.end();
  return hello;
}

function decodeSlept(from: Decoder): Pick<Hello, 'slept' | 'sleeps'> {
  const since = from.u64() / 1e6;
  const rang = rings[from.u8()];
  const key = from.u64();
  return { slept: rang === undefined ? null : { since, rang, key }, sleeps: from.u32() };
}

/** By the launcher's numbers (native/launcher/core/sleep.h). */
const rings = [undefined, 'watch', 'deadline', 'attempt', 'signal', 'output'] as const;

function tellEvent({ type, body }: Frame, events: LauncherEvents): void {
  const from = createDecoder(body);
  if (type === event.attempt) events.attempt(decodeAttempt(body));
  else if (type === event.output) events.output(from.u64(), from.u64(), from.u64());
  else if (type === event.watch) events.watch(from.u64());
  else if (type === event.deadline) events.deadline();
  else if (type === event.left) events.left(decodeLeft(body));
  else if (type === event.terminate) events.terminate(from.u32());
  else throw new WireError(`a frame of unknown type ${type}`);
}
