// The package's entry: a client of a northstate console, typed, that comes back when its connection ends.
//
//   import { connect } from 'northstate';
//   await using northstate = await connect();
//   await northstate.start('hello-world:1.0.0');
//   for await (const { status } of northstate.watch()) console.log(status.converged);
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Operation } from 'fast-json-patch';
import type { Status } from '../../state/status.ts';
import { defaultConsole } from '../console/protocol/address.ts';
import type { Answers, DesiredView, Lasting, Notification, ObservedView } from '../console/protocol/answers.ts';
import { connectConsole, consoleError, type Client, type ClientTls } from './console-client.ts';
import type { Bodies } from '../console/protocol/protocol.ts';
import type { Lifetime, LogLine } from '../runtime/runtime.ts';
import { createLink } from './link.ts';
import { openSession, type Session } from './client-session.ts';
import * as streams from './streams.ts';

export type * from '../console/protocol/answers.ts';
export { ConnectionLost, ConsoleError, NoConsole, type ClientTls } from './console-client.ts';
export type { Unmet } from '../../controllers/status/explain.ts';
export type { Lifetime, LogLine } from '../runtime/runtime.ts';
export type { ContainerStatus, Condition, Phase, RepositoryStatus, Status } from '../../state/status.ts';
export type { Session } from './client-session.ts';
export type { EventOrGap, EventsOptions, LogsOptions, Watched, WatchPlace } from './streams.ts';

export interface ConnectOptions {
  /**
   * `unix:///path`, `tcp://host[:port]`, `tls://host[:port]`, or `fd:N` within a container. When it is left out that of
   * NORTHSTATE_CONSOLE, within a container that of NORTHSTAR_CONSOLE, else unix:///run/northstate/console.
   */
  readonly url?: string;
  /** Have `notifications` tell what happens to containers. */
  readonly subscribe?: boolean;
  /** Connect again, later and later, when the connection ends; true when left out. */
  readonly reconnect?: boolean;
  /** How long to wait for a console to be there, in ms: at first (0 when left out), and when it has ended (30 s). */
  readonly patience?: { readonly first?: number; readonly later?: number };
  readonly tls?: ClientTls;
  /** Told every line that the console answers with. */
  readonly tap?: ((line: string) => void) | undefined;
}

/** How long a change lasts; when it is left out the console decides. */
interface HowLong {
  readonly lifetime?: Lifetime | undefined;
  /** Told why it does not last so long, where it does not. */
  readonly notDurable?: ((why: string) => void) | undefined;
}

/** The connection was made anew: what happened meanwhile was told to nobody. `events` may still have it. */
export interface Reconnected {
  readonly reconnected: true;
}

export interface Northstate extends AsyncDisposable {
  /** Any request by its name: `call('describe', { name })`. Throws ConsoleError, ConnectionLost or NoConsole. */
  call<K extends keyof Answers>(name: K, body: Bodies[K]): Promise<Answers[K]>;

  list(): Promise<readonly string[]>;
  /** Starts `name:version`; what is given of init, args and env replaces the manifest's for this run. */
  start(
    container: string,
    options?: HowLong & {
      readonly init?: string | null;
      readonly args?: readonly string[];
      readonly env?: Readonly<Record<string, string>>;
    },
  ): Promise<void>;
  /** Sends exactly this signal, 15 when left out; 15 and 9 also keep the container down. */
  kill(container: string, signal?: number, options?: HowLong): Promise<void>;
  /** Installs a package, a file or a stream of a known size; gives its `name:version`. */
  install(
    repository: string,
    source: string | { readonly size: number; readonly bytes: Readable },
    options?: HowLong,
  ): Promise<string>;
  /** With `wipe` persistent data goes as well, unless other versions of the name are installed or run: those are given. */
  uninstall(
    container: string,
    options?: HowLong & { readonly wipe?: boolean },
  ): Promise<{ readonly dataKeptFor: readonly string[] }>;

  status(): Promise<Status>;
  desired(container?: string): Promise<DesiredView>;
  /** The text of a stored generation. */
  textOf(generation: number): Promise<string>;
  observed(container?: string): Promise<ObservedView>;
  /** Makes a document the one in force, unless another generation than `expected` is: then ConsoleError `conflict`. */
  apply(document: string, options?: { readonly expected?: number | null }): Promise<number>;
  /** The steps that a document would take, once it is found good. Nothing is changed. */
  dryRun(document: string, options?: { readonly expected?: number | null }): Promise<Answers['plan']['steps']>;
  /** RFC 6902 operations on the document in force; gives the generation. */
  patch(operations: readonly Operation[], options?: HowLong & { readonly expected?: number | null }): Promise<number>;
  /** A merge patch (RFC 7386) of the document in force; gives the generation. */
  merge(patch: object, options?: HowLong & { readonly expected?: number | null }): Promise<number>;
  /** A stored generation again; gives the new one's number. */
  rollback(generation: number, options?: { readonly expected?: number | null }): Promise<number>;
  /**
   * Until what a generation has changed (all that the document in force asks for when left out) is ready, or cannot be;
   * `timeout` in ms.
   */
  wait(options: WaitOptions): Promise<Answers['wait']['result']>;
  /** The same, with what is missing or has failed. */
  outcome(options: WaitOptions): Promise<Answers['wait']>;

  /** What is told of containers, for one reader; needs `subscribe`. */
  notifications(): AsyncGenerator<Notification | Reconnected>;
  /** Every status from now on, or from where an earlier watcher was. */
  watch(from?: streams.WatchPlace): AsyncGenerator<streams.Watched>;
  events(options?: streams.EventsOptions): AsyncGenerator<streams.EventOrGap>;
  logs(name: string, options?: streams.LogsOptions): AsyncGenerator<LogLine>;
  /** The bytes of a ZIP archive for support; it holds no secrets. */
  report(): AsyncGenerator<Buffer>;
  /** A program that joins a container, with the rights of its application unless `privileged` or another `user` is asked for. */
  exec(
    name: string,
    command: readonly string[],
    options?: Partial<Omit<Bodies['exec'], 'name' | 'command'>>,
  ): Promise<Session>;
  /** Copies a file of a container, out of it or into it (`size` bytes of input), with the rights of its application. */
  copy(request: Bodies['copy']): Promise<Session>;
  /** Runs a container once, whatever the document wants of it, and ends that run when the session is closed; `timeout` in ms. */
  runOnce(
    name: string,
    options?: { readonly args?: readonly string[]; readonly timeout?: number | null },
  ): Promise<Session>;
  /** Resolves when the present connection has ended. */
  closed(): Promise<void>;
  /** Hangs up: what is under way fails, streams end. */
  close(): void;
}

export interface WaitOptions {
  readonly timeout: number;
  readonly generation?: number;
  /** `confirmed`: until it is on trial no more, for good or for bad. */
  readonly for?: 'reached' | 'confirmed';
}

/** Requests that change nothing are made again when the connection ends before their answer. */
const reading = new Set<keyof Bodies>([
  ...([
    'ident',
    'list',
    'repositories',
    'inspect',
    'get',
    'plan',
    'describe',
    'explain',
    'history',
    'wait',
    'trial',
    'quarantine',
  ] as const),
]);

/** Connects to a console. Throws NoConsole when nobody listens there, and an Error when it refuses the connection. */
export async function connect(options: ConnectOptions = {}): Promise<Northstate> {
  const { subscribe = false, reconnect = true, tls, tap } = options;
  const { first = 0, later = 30_000 } = options.patience ?? {};
  const url = options.url ?? consoleOfEnvironment();
  const open = (): Promise<Client> => connectConsole(url, { subscribe, tls, tap });
  const main = createLink({ open, reconnect, first, later });
  const following = new Set<() => void>();
  /** The connection whose notifications are read. */
  let told = await main.client();

  /** Connections for one stream. */
  async function* connections(): AsyncGenerator<Client, void, undefined> {
    const connected = (): Promise<Client> => connectConsole(url, { stream: true, tls, tap });
    const link = createLink({ open: connected, reconnect, first: 0, later });
    const end = (): void => link.close();
    following.add(end);
    try {
      do {
        const client = await link.client();
        yield client;
        await client.closed;
      } while (reconnect && following.has(end));
    } finally {
      following.delete(end);
      link.close();
    }
  }

  const call: Northstate['call'] = (name, body) =>
    main.use(name, (client) => client.call(name, body), reading.has(name));
  const get = (what: 'desired' | 'observed', container?: string): Promise<unknown> =>
    call('get', { what, ...(container !== undefined && { container }) });
  const heard = <T extends Lasting>(done: T, notDurable: HowLong['notDurable']): T => {
    if (done.not_durable !== undefined) notDurable?.(done.not_durable);
    return done;
  };
  const close = (): void => {
    const ends = [...following];
    following.clear();
    for (const end of ends) end();
    main.close();
  };

  return {
    call,
    list: () => call('list', null),
    async start(container, { init = null, args = [], env = {}, lifetime, notDurable } = {}) {
      heard(await call('start', { container, init, arguments: args, environment: env, lifetime }), notDurable);
    },
    async kill(container, signal = 15, { lifetime, notDurable } = {}) {
      heard(await call('kill', { container, signal, lifetime }), notDurable);
    },
    async install(repository, source, { lifetime, notDurable } = {}) {
      const { size, bytes } = typeof source === 'string' ? await openPackage(source) : source;
      const body = { repository, size, lifetime };
      return heard(await main.use('install', (client) => client.install(body, bytes), false), notDurable).container;
    },
    async uninstall(container, { wipe = false, lifetime, notDurable } = {}) {
      const done = heard(await call('uninstall', { container, wipe, lifetime }), notDurable);
      const { data_kept_for: dataKeptFor = [] } = done;
      return { dataKeptFor };
    },
    status: async () => (await call('get', null)).status,
    desired: async (container) => (await get('desired', container)) as DesiredView,
    async textOf(generation) {
      const view: unknown = await call('get', { what: 'desired', generation });
      return (view as { readonly document: string }).document;
    },
    observed: async (container) => (await get('observed', container)) as ObservedView,
    apply: async (document, { expected = null } = {}) => (await call('apply', { document, expected })).generation,
    async dryRun(document, { expected = null } = {}) {
      return (await call('apply', { document, expected, dry_run: true })).steps ?? [];
    },
    patch: async (operations, { expected = null, lifetime, notDurable } = {}) =>
      heard(await call('patch', { operations, expected, lifetime }), notDurable).generation,
    merge: async (patch, { expected = null, lifetime, notDurable } = {}) =>
      heard(await call('patch', { merge: patch, expected, lifetime }), notDurable).generation,
    rollback: async (generation, { expected = null } = {}) =>
      (await call('rollback', { generation, expected })).generation,
    wait: async (options) => (await outcome(options)).result,
    outcome,
    async *notifications() {
      for (;;) {
        yield* told.notifications();
        const next = reconnect ? await nextClient() : null;
        if (next === null) return;
        told = next;
        yield { reconnected: true };
      }
    },
    watch: (from) => streams.watch(connections, from ?? null),
    events: (given = {}) => streams.events(connections, given),
    logs: (name, given = {}) => streams.logs(connections, name, given),
    report: () => streams.report(connections),
    async exec(name, command, { input = false, terminal = null, user = null, ...more } = {}) {
      const client = await connectConsole(url, { stream: true, tls, tap });
      return await openSession(client, (each) => each.call('exec', { name, command, input, terminal, user, ...more }));
    },
    async copy(request) {
      const client = await connectConsole(url, { stream: true, tls, tap });
      return await openSession(client, (each) => each.call('copy', request));
    },
    async runOnce(name, { args = [], timeout = null } = {}) {
      const client = await connectConsole(url, { stream: true, tls, tap });
      return await openSession(client, (each) => each.call('run_once', { name, arguments: args, timeout }));
    },
    closed: async () => await (await main.client()).closed,
    close,
    [Symbol.asyncDispose]: async () => close(),
  };

  async function outcome({ timeout, generation, ...what }: WaitOptions): Promise<Answers['wait']> {
    const until = performance.now() + timeout;
    const left = (): number => Math.max(0, Math.round(until - performance.now()));
    return await main.use(
      'wait',
      (client) => client.call('wait', { generation: generation ?? null, timeout: left(), ...what }),
      true,
    );
  }

  /** The connection after one that has ended; null after close(). */
  async function nextClient(): Promise<Client | null> {
    await told.closed;
    try {
      return await main.client();
    } catch (error) {
      if (main.isClosed()) return null;
      throw error;
    }
  }
}

/** The error of one outcome of `mount` or `umount` as an exception. */
export { consoleError };

function consoleOfEnvironment(): string {
  const { NORTHSTATE_CONSOLE: url, NORTHSTAR_CONSOLE: descriptor } = process.env;
  return url ?? (descriptor === undefined ? defaultConsole : `fd:${descriptor}`);
}

/** A package as it is sent: a file that grows meanwhile is sent as long as it was announced. The stream closes it. */
async function openPackage(path: string): Promise<{ size: number; bytes: Readable }> {
  const handle = await open(path);
  const { size } = await handle.stat();
  if (size > 0) return { size, bytes: handle.createReadStream({ end: size - 1, highWaterMark: 256 * 1024 }) };
  await handle.close();
  throw new Error(`${path} is empty`);
}
