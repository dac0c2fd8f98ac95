// A launcher in directories of its own, whose reconcilers a test steers.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { patience } from './patience.ts';
import { read, write } from './values.ts';
import type { Launcher, LauncherEvents, Remembered } from '../../native/wire/launcher-interface.ts';

const build = join(import.meta.dirname, '../../native/launcher/build.sh');
const programs = join(import.meta.dirname, '../../.build');
const script = join(import.meta.dirname, 'steered-reconciler.ts');

type Calls = Launcher & { garbage(bytes: Uint8Array): void; exit(code: number): void };
type EventName = Exclude<keyof LauncherEvents, 'closed'>;

/** A reconciler of the launcher, from its greeting on. */
export interface RemoteReconciler {
  readonly pid: number;
  readonly remembered: Omit<Remembered, 'descriptors'> & { readonly descriptors: [string, number][] };
  /** Calls a method of its `Launcher`. Rejects with the fields of its LaunchError. */
  call<K extends keyof Calls>(method: K, ...values: Parameters<Calls[K]>): Promise<Awaited<ReturnType<Calls[K]>>>;
  /** The next event of this name that fits, of those not given yet; others of the name before it are dropped. */
  next<K extends EventName>(
    event: K,
    fits?: (...values: Parameters<LauncherEvents[K]>) => boolean,
  ): Promise<Parameters<LauncherEvents[K]>>;
  /** Events of this name that have come and were not given. */
  unseen(event: EventName): unknown[][];
  readonly gone: Promise<unknown>;
}

export interface TestLauncher {
  readonly pid: number;
  readonly directory: string;
  /** Exit code, or the signal's name. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** What it has said on stderr. */
  log(): string;
  /** Waits for a text on stderr. */
  said(text: string): Promise<void>;
  /** The next reconciler that has read its greeting. */
  reconciler(): Promise<RemoteReconciler>;
  signal(name: NodeJS.Signals): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Rejects, naming what was waited for, when it does not come. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patience);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The launcher's program, built when a source is newer; with LAUNCHER_BUILD=asan the one with sanitizers. */
export function launcherProgram(): string {
  const kind = process.env['LAUNCHER_BUILD'];
  execFileSync('/bin/sh', [build, ...(kind === undefined ? [] : [kind])]);
  return join(programs, kind === undefined ? 'northstate-launcher' : `northstate-launcher-${kind}`);
}

/** A queue whose reader waits for what is not there yet. */
function createQueue<T>(): { push(value: T): void; take(fits: (value: T) => boolean): Promise<T>; rest(): T[] } {
  let values: T[] = [];
  let wake = (): void => undefined;
  return {
    push(value) {
      values.push(value);
      wake();
    },
    async take(fits) {
      for (;;) {
        const index = values.findIndex(fits);
        const value = values[index];
        if (value !== undefined) {
          values = values.slice(index + 1);
          return value;
        }
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    rest: () => values,
  };
}

/**
 * `calls` names a module that gives the reconcilers further methods to call (`createCalls`), `wrapper` the command line of
 * a program that starts the launcher, `stdout` the descriptor that is its stdout, `options` are further ones of its own, `program` one that
 * is started instead of a reconciler, `locked` whether it is told directories.
 */
export async function startLauncher(
  environment: Record<string, string> = {},
  {
    calls,
    wrapper = [],
    stdout = 1,
    options = [],
    program: instead,
    locked = true,
  }: {
    readonly calls?: string;
    readonly wrapper?: readonly string[];
    readonly stdout?: number;
    readonly options?: readonly string[];
    readonly program?: readonly string[];
    /** Whether it is told its directories; else its reconciler has it lock them. */
    readonly locked?: boolean;
  } = {},
): Promise<TestLauncher> {
  const program = launcherProgram();
  const directory = await mkdtemp(join(tmpdir(), 'northstate-launcher-'));
  const path = join(directory, 'test');
  const reconcilers = createQueue<RemoteReconciler>();
  const server = createServer((socket) => void steer(socket).then((remote) => reconcilers.push(remote)));
  await new Promise<void>((resolve) => server.listen(path, resolve));

  const reconciler = instead ?? [process.execPath, script, path, ...(calls === undefined ? [] : [calls])];
  const places = !locked ? [] : ['--state-dir', join(directory, 'state'), '--run-dir', join(directory, 'run')];
  const [command = '', ...args] = [...wrapper, program, ...places, ...options, '--', ...reconciler];
  const child = spawn(command, args, {
    stdio: ['ignore', stdout, 'pipe'],
    env: { ...process.env, ...environment },
  });
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
  let log = '';
  let heard = (): void => undefined;
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log += text;
    heard();
  });

  return {
    pid: child.pid ?? 0,
    directory,
    exited,
    log: () => log,
    async said(text) {
      const waiting = (async () => {
        while (!log.includes(text)) await new Promise<void>((resolve) => (heard = resolve));
      })();
      await within(`"${text}" on stderr`, waiting);
    },
    reconciler: () =>
      within(
        'a reconciler',
        reconcilers.take(() => true),
      ),
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
      // Its reconciler dies with it, a moment later: until then it may still make files.
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
}

type Line =
  | { readonly event: EventName; readonly values: unknown[] }
  | { readonly id: number; readonly result?: unknown; readonly error?: object }
  | Pick<RemoteReconciler, 'pid' | 'remembered'>;

/** Resolves when the reconciler at the other end has said what is remembered. */
async function steer(socket: Socket): Promise<RemoteReconciler> {
  const events = new Map<EventName, ReturnType<typeof createQueue<unknown[]>>>();
  const queueOf = (name: EventName) => events.get(name) ?? events.set(name, createQueue()).get(name)!;
  const answers = new Map<number, PromiseWithResolvers<unknown>>();
  const greeting = Promise.withResolvers<Pick<RemoteReconciler, 'pid' | 'remembered'>>();
  const gone = new Promise((resolve) => socket.on('close', resolve)).then(() => {
    for (const { reject } of answers.values()) reject(new Error('the reconciler has gone'));
  });
  socket.on('error', () => socket.destroy());
  let calls = 0;

  const lines = createInterface(socket).on('line', (text) => {
    const line = read(text) as Line;
    if ('event' in line) queueOf(line.event).push(line.values);
    else if ('remembered' in line) greeting.resolve(line);
    else if (line.error) answers.get(line.id)?.reject(Object.assign(new Error(), line.error));
    else answers.get(line.id)?.resolve(line.result);
  });
  // One that is killed may end its connection with an error.
  lines.on('error', () => socket.destroy());

  return {
    ...(await greeting.promise),
    call(call, ...values) {
      const answer = Promise.withResolvers<unknown>();
      answers.set(++calls, answer);
      socket.write(`${write({ id: calls, call, values })}\n`);
      return within(`the answer to ${call}`, answer.promise) as never;
    },
    next: (event, fits = () => true) =>
      within(
        event,
        queueOf(event).take((values) => fits(...(values as never))),
      ) as never,
    unseen: (event) => queueOf(event).rest(),
    gone,
  };
}
