// Reading containers' output out of the launcher: for `logs`, and for our own log. Reading consumes nothing there.
import { setTimeout as wait } from 'node:timers/promises';
import type { ContainerLog } from './container-log.ts';
import { createLineReader } from './output-lines.ts';
import type { LogLine } from '../runtime/runtime.ts';
import type { Output } from '../../controllers/containers/containers-observe.ts';

/** Bytes that one request reads: more than the largest record. */
const stretch = 128 * 1024;

/** As many attempts as the launcher has. */
const mostEarly = 4096;

/** What is needed of native/wire/launcher.ts. */
interface OutputSource {
  read(id: number, offset: number, max: number): Promise<{ offset: number; end: number; data: Uint8Array }>;
}

export interface Logs {
  /** How far each attempt's output was put into our own log, by this process or an earlier one. */
  positions(): [id: number, offset: number][];
  /** The launcher has more output of an attempt. */
  arrived(id: number): void;
  /** An attempt has changed or is gone: whoever follows looks again. */
  changed(name: string): void;
  /**
   * The kept lines of a container's attempts, oldest first, then, with `follow`, what comes, until the signal. With `previous` those
   * of the attempt before the last one only.
   */
  lines(name: string, options: LinesOptions): AsyncIterable<LogLine>;
}

interface LinesOptions {
  readonly since: number | null;
  readonly follow: boolean;
  readonly previous?: boolean;
  /** Of this one only; that ends with it. */
  readonly attempt?: number;
  readonly signal: AbortSignal;
}

export interface LogsPorts {
  readonly launcher: OutputSource;
  readonly containerLog: ContainerLog;
  /** How far an earlier reconciler has logged the attempts that are adopted. */
  readonly earlier: ReadonlyMap<number, number>;
  /** A container's attempts with their output, oldest first. */
  readonly outputs: (name: string) => readonly Output[];
  readonly nameOf: (id: number) => string | null;
  /** ms since 1970 at a time of CLOCK_BOOTTIME in ms. */
  readonly wallClock: (boot: number) => number;
  readonly failed: (error: unknown) => void;
}

export function createLogs(ports: LogsPorts): Logs {
  const { launcher, containerLog, earlier, outputs, nameOf, wallClock, failed } = ports;
  const logged = new Map<number, Reading>();
  const wakers = new Map<string, Set<() => void>>();
  /** Attempts that have written before anything else was told of them. */
  const early = new Set<number>();

  const startReading = (id: number, offset: number): Reading => {
    const reader = createLineReader(wallClock);
    return { id, reader, offset, busy: false, again: false, over: false };
  };

  function wake(name: string): void {
    for (const waker of wakers.get(name) ?? []) waker();
  }

  /** Puts what is new into our own log. One at a time for each attempt; what comes meanwhile is told once: look again. */
  async function log(id: number, name: string): Promise<void> {
    const reading = logged.get(id) ?? startReading(id, earlier.get(id) ?? 0);
    logged.set(id, reading);
    reading.again = true;
    if (reading.busy) return;
    reading.busy = true;
    try {
      while (reading.again) {
        reading.again = false;
        for await (const { lines, lost } of read(reading)) {
          const pause = containerLog(name, lines, lost);
          // What is written meanwhile falls out of the launcher's ring and costs nothing here.
          if (pause > 0) await wait(pause, undefined, { ref: false });
        }
      }
    } finally {
      reading.busy = false;
    }
  }

  /** The next stretch; null when the attempt was forgotten meanwhile, and its output with it. */
  async function next({ id, offset }: Reading) {
    try {
      return await launcher.read(id, offset, stretch);
    } catch (error) {
      if (nameOf(id) === null) return null;
      throw error;
    }
  }

  /** Everything from the reading's offset to the present end. */
  async function* read(reading: Reading): AsyncGenerator<{ lines: LogLine[]; lost: number }> {
    for (;;) {
      const output = await next(reading);
      if (output === null) return;
      const { offset, end, data } = output;
      const { lines, consumed } = reading.reader.read(data);
      const lost = offset - reading.offset;
      reading.offset = offset + consumed;
      if (lines.length > 0) yield { lines, lost };
      if (consumed === 0 || reading.offset >= end) return;
    }
  }

  async function* follow(name: string, options: LinesOptions) {
    const readings = new Map<number, Reading>();
    const { signal } = options;
    let told = Promise.withResolvers<void>();
    const waker = () => told.resolve();
    const own = wakers.get(name) ?? new Set();
    wakers.set(name, own.add(waker));
    signal.addEventListener('abort', waker);
    try {
      for (;;) {
        for (const { id, begin, ended } of chosen(outputs(name), options)) {
          const reading = readings.get(id) ?? startReading(id, begin);
          readings.set(id, reading);
          if (reading.over) continue;
          for await (const { lines } of read(reading)) yield* recent(lines, options.since);
          reading.over = ended;
          if (ended || !options.follow) yield* recent(reading.reader.end(), options.since);
        }
        const isOver = options.attempt !== undefined && readings.get(options.attempt)?.over !== false;
        if (!options.follow || signal.aborted || isOver) return;
        await told.promise;
        told = Promise.withResolvers<void>();
      }
    } finally {
      signal.removeEventListener('abort', waker);
      own.delete(waker);
      if (own.size === 0) wakers.delete(name);
    }
  }

  function arrived(id: number): void {
    const name = nameOf(id);
    if (name === null) {
      early.add(id);
      // The last word of one that is forgotten comes here, too, and stays until then.
      const [oldest] = early;
      if (early.size > mostEarly && oldest !== undefined) early.delete(oldest);
      return;
    }
    log(id, name).catch(failed);
    wake(name);
  }

  return {
    positions() {
      const known = [...earlier].filter(([id]) => nameOf(id) !== null);
      return [...new Map([...known, ...[...logged].map(([id, { offset }]) => [id, offset] as const)])];
    },
    arrived,
    changed(name) {
      const known = new Set(outputs(name).map(({ id }) => id));
      for (const id of known) if (early.delete(id)) arrived(id);
      for (const id of logged.keys()) if (!known.has(id) && nameOf(id) === null) logged.delete(id);
      wake(name);
    },
    lines: follow,
  };
}

function chosen(all: readonly Output[], { previous, attempt }: LinesOptions): readonly Output[] {
  if (attempt !== undefined) return all.filter(({ id }) => id === attempt);
  return previous === true ? all.slice(-2, -1) : all;
}

interface Reading {
  readonly id: number;
  readonly reader: ReturnType<typeof createLineReader>;
  offset: number;
  busy: boolean;
  /** There is more than the present read may give. */
  again: boolean;
  over: boolean;
}

function recent(lines: readonly LogLine[], since: number | null): readonly LogLine[] {
  return since === null ? lines : lines.filter(({ time }) => time >= since);
}
