// Requests to the launcher: their bytes, and the answers that belong to them.
import { failureOf, LaunchError } from './attempt.ts';
import { createEncoder, type Encoder } from './encoder.ts';
import { encodeHealth } from './health-order.ts';
import { encodeOps } from './ops.ts';
import type { FrameSender } from './frame-sender.ts';
import { createDecoder, encodeFrame, event, request, WireError, type Decoder, type Frame } from './wire.ts';
import type { Launcher, Output, WatchKind } from './launcher-interface.ts';

const watchKinds = { priority: 1, eventfd: 2, readable: 3, writable: 4 } as const satisfies Record<WatchKind, number>;

const FILLER_SERIAL = 0xffffffff;
/** A request without effect, whose answer is nobody's. */
export const FILLER = encodeFrame(request.nop, FILLER_SERIAL, []);

interface Pending {
  /** `data` is the body of E_DATA, null after an answer without one. */
  resolve(data: Decoder | null): void;
  reject(error: Error): void;
}

/** Requests whose frames go out through `sender`; `answer` takes an answer in, and says whether the frame was one. */
export function createRequests(sender: FrameSender): {
  requests: Omit<Launcher, 'close' | 'sleep' | 'idle'> & { sleep(heard: number, output: boolean): Promise<boolean> };
  answer: (frame: Frame) => boolean;
  /** Whether no request waits for its answer. */
  idle: () => boolean;
  fail: (error: Error) => void;
} {
  const pending = new Map<number, Pending>();
  let failed: Error | null = null;
  let serial = 0;

  function nextSerial(): number {
    do serial = (serial + 1) % FILLER_SERIAL;
    while (serial === 0 || pending.has(serial));
    return serial;
  }

  /** Sends a body of several parts. Rejects with what `send` throws. */
  function exchange(type: number, body: readonly Uint8Array[], fds: readonly number[]): Promise<Decoder | null> {
    return new Promise((resolve, reject) => {
      if (failed) throw failed;
      const ours = nextSerial();
      sender.send(encodeFrame(type, ours, body, fds.length), fds);
      pending.set(ours, { resolve, reject });
    });
  }

  /** The same for a request that nobody waits for (`hold`), or that another one follows (`join`): it goes along with the next one. */
  function exchangeWithNext(how: 'hold' | 'join', type: number, body: Uint8Array): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (failed) throw failed;
      const ours = nextSerial();
      sender[how](encodeFrame(type, ours, [body]));
      pending.set(ours, { resolve, reject });
    });
  }

  async function ask(type: number, write: (to: Encoder) => void, fds: readonly number[] = []): Promise<void> {
    const body = createEncoder();
    write(body);
    await exchange(type, [body.end()], fds);
  }

  return {
    requests: {
      async prepare({ id, name, hash, record, ops }) {
        const list = encodeOps(ops);
        const head = createEncoder();
        head.u64(BigInt(id));
        head.text(name);
        const tail = createEncoder();
        tail.bytes(record);
        await exchange(request.prepare, [head.end(), hashBytes(hash), tail.end(), list.bytes], list.fds);
      },
      async go({ id, after, record, ops }) {
        const list = encodeOps(ops);
        const head = createEncoder();
        head.u64(BigInt(id));
        head.u64(BigInt(after));
        head.bytes(record);
        await exchange(request.go, [head.end(), list.bytes], list.fds);
      },
      kill: (id, signal) =>
        ask(request.kill, (to) => {
          to.u64(BigInt(id));
          to.u32(signal);
        }),
      async join({ id, attempt, ops }) {
        const list = encodeOps(ops);
        const head = createEncoder();
        head.u64(BigInt(id));
        head.u64(BigInt(attempt));
        await exchange(request.join, [head.end(), list.bytes], list.fds);
      },
      signal: (id, signal) =>
        ask(request.signal, (to) => {
          to.u64(BigInt(id));
          to.u32(signal);
        }),
      async health(order) {
        const { body, fds } = encodeHealth(order);
        await exchange(request.health, [body], fds);
      },
      forget: (id) => ask(request.forget, (to) => to.u64(BigInt(id))),
      async record(id, record) {
        const body = createEncoder();
        body.u64(BigInt(id));
        body.bytes(record);
        await exchangeWithNext('join', request.record, body.end());
      },
      watch: (key, kind, fd) =>
        ask(
          request.watch,
          (to) => {
            to.u64(BigInt(key));
            to.u8(watchKinds[kind]);
            to.u16(0);
          },
          [fd],
        ),
      rearm: (key) => ask(request.rearm, (to) => to.u64(BigInt(key))),
      unwatch: (key) => ask(request.unwatch, (to) => to.u64(BigInt(key))),
      // A deadline of 0 would turn the timer off: the earliest one is 1 ns.
      deadline: (boottime) =>
        ask(request.deadline, (to) => to.u64(boottime === null ? 0n : BigInt(Math.max(1, Math.round(boottime * 1e6))))),
      async read(id, offset, max) {
        const body = createEncoder();
        body.u64(BigInt(id));
        body.u64(BigInt(offset));
        body.u32(max);
        return decodeOutput(await exchange(request.read, [body.end()], []));
      },
      keep: (name, fd) =>
        ask(
          request.keep,
          (to) => {
            to.text(name);
            to.u16(0);
          },
          [fd],
        ),
      lock: (directory, fd, note) =>
        ask(
          request.lock,
          (to) => {
            to.text(directory);
            to.u16(0);
            to.u8(note === null ? 0 : 1);
            if (note !== null) to.u16(1);
          },
          note === null ? [fd] : [fd, note],
        ),
      async accept(listener, name, to) {
        try {
          await ask(
            request.accept,
            (body) => {
              body.text(listener);
              body.text(name ?? '');
              body.u16(0);
            },
            [to],
          );
          return true;
        } catch (error) {
          if (error instanceof LaunchError && error.code === 'EAGAIN') return false;
          throw error;
        }
      },
      drop: (name) => ask(request.drop, (to) => to.text(name)),
      ready: (generation) => ask(request.ready, (to) => to.u64(BigInt(generation))),
      async trying(generation) {
        const body = createEncoder();
        body.u64(BigInt(generation));
        await exchangeWithNext('hold', request.trying, body.end());
      },
      ending: (milliseconds) => ask(request.ending, (to) => to.u32(Math.min(Math.ceil(milliseconds), 0xffffffff))),
      async status(text) {
        const body = createEncoder();
        body.text(text);
        await exchangeWithNext('hold', request.status, body.end());
      },
      async prove(command, milliseconds) {
        const body = createEncoder();
        body.u32(milliseconds);
        body.u16(command.length);
        for (const word of command) body.text(word);
        return decodeOutput(await exchange(request.prove, [body.end()], [])).data;
      },
      takeover: () => ask(request.takeover, () => undefined),
      proven: (isProven, report) =>
        ask(request.proven, (to) => {
          to.u8(isProven ? 1 : 0);
          to.bytes(report);
        }),
      stop: (status) => ask(request.stop, (to) => to.u8(status)),
      async sleep(heard, output) {
        try {
          await ask(request.sleep, (to) => {
            to.u64(BigInt(heard));
            to.u8(output ? 1 : 0);
          });
          return true;
        } catch (error) {
          if (error instanceof LaunchError && error.code === 'EAGAIN') return false;
          throw error;
        }
      },
    },

    answer({ type, serial: theirs, body }) {
      if (type !== event.result && type !== event.data) return false;
      if (theirs === FILLER_SERIAL) return true;
      const waiting = pending.get(theirs);
      if (waiting === undefined) throw new WireError(`an answer to request ${theirs}, which nobody made`);
      pending.delete(theirs);
      const from = createDecoder(body);
      const failure = type === event.result ? failureOf(from.u16(), from.u32(), from.text()) : null;
      if (failure) waiting.reject(new LaunchError(failure));
      else waiting.resolve(type === event.data ? from : null);
      return true;
    },

    idle: () => pending.size === 0,

    fail(error) {
      failed = error;
      for (const { reject } of pending.values()) reject(error);
      pending.clear();
    },
  };
}

function hashBytes(hash: string): Uint8Array {
  const bytes = Buffer.from(hash, 'hex');
  if (bytes.length !== 32) throw new WireError(`the hash ${JSON.stringify(hash)} is not 32 bytes in hex`);
  return bytes;
}

function decodeOutput(data: Decoder | null): Output {
  if (data === null) throw new WireError('an answer without data');
  data.u64();
  const offset = data.u64();
  const end = data.u64();
  return { offset, end, data: data.bytes() };
}
