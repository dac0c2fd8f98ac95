// A client of the console: requests answered in order, notifications as an async iteration.
import { createConnection, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Operation } from 'fast-json-patch';
import type { MemoryEvents } from '../../controllers/cgroup-alarm.ts';
import type { Status } from '../../state/status.ts';
import type { LogLine } from '../runtime.ts';
import { protocolVersion, socketPath } from './address.ts';
import { drained } from './outbox.ts';
import type { Bodies } from './protocol.ts';

/** Nobody listens at the address. */
export class NoConsole extends Error {}

/** The console's answer is an error; `reason` is the protocol's name of it. */
export class ConsoleError extends Error {
  readonly reason: string;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(reason: string, message: string, detail: Readonly<Record<string, unknown>>) {
    super(message);
    this.name = 'ConsoleError';
    this.reason = reason;
    this.detail = detail;
  }
}

export interface Snapshot {
  readonly status: Status;
  readonly sequence: number;
}

export interface PlannedStep {
  readonly op: string;
  readonly name: string;
  readonly text: string;
  readonly waits: string | null;
}

/** `describe`: what explains one container. */
export interface Description {
  readonly name: string;
  readonly status: Status['containers'][string] | null;
  readonly entry: Readonly<Record<string, unknown>> | null;
  /** Fields of the entry that last until the boot ends. */
  readonly overlay: readonly { readonly pointer: string; readonly origin: string; readonly generation: number }[];
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
}

interface ForContainer {
  readonly container: string;
}
interface ForName {
  readonly name: string;
}
type ErrorMessage = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
type Outcome<T> = { readonly ok: T } | { readonly error: { readonly error: ErrorMessage } };

/** What each request gives. */
export interface Answers {
  readonly ident: string;
  readonly list: readonly string[];
  readonly repositories: readonly string[];
  readonly inspect: ForContainer & { readonly data: Readonly<Record<string, unknown>> };
  readonly uninstall: ForContainer;
  readonly start: ForContainer;
  readonly kill: ForContainer;
  readonly mount: readonly Outcome<ForContainer>[];
  readonly umount: readonly Outcome<ForContainer>[];
  readonly apply: { readonly generation: number };
  readonly get: Snapshot;
  readonly watch: Snapshot;
  readonly plan: { readonly steps: readonly PlannedStep[] };
  readonly describe: Description;
  readonly logs: ForName;
  readonly wait: { readonly result: 'converged' | 'failed' | 'timeout' };
  readonly history: { readonly generations: readonly StoredGeneration[] };
  readonly stop: ForName;
  readonly pause: ForName;
  readonly resume: ForName;
  readonly restart: ForName;
  readonly update: ForName;
  readonly shutdown: null;
}

export type Notification =
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
  | { readonly status: { readonly operations: readonly Operation[]; readonly sequence: number } }
  | { readonly c_group: readonly [string, { readonly memory: MemoryEvents }] }
  | { readonly integrity_lost: readonly [string, 'written' | 'corrupted'] }
  | { readonly log: LogLine & ForName }
  | { readonly log_end: ForName & { readonly error: ErrorMessage | null } };

export interface Client {
  /** Sends a request; gives its `ok`, or throws a ConsoleError. `mount` and `umount` give one outcome for each container. */
  call<K extends keyof Answers>(name: K, body: Bodies[K]): Promise<Answers[K]>;
  /** Sends a package of `size` bytes into a repository; gives name:version. */
  install(body: Bodies['install'], bytes: Readable): Promise<string>;
  /** What the console tells unasked, until it or `close` ends the connection. Kept until it is read. */
  notifications(): AsyncIterable<Notification>;
  /** Hangs up. */
  close(): void;
}

/** Connects to `unix:///path`. With `subscribe` the events (started, exit, ...) come as notifications, too. Throws NoConsole. */
export async function connectConsole(url: string, { subscribe = false } = {}): Promise<Client> {
  const socket = await open(url);
  const waiting: ((message: unknown) => void)[] = [];
  const notifications: Notification[] = [];
  let news = Promise.withResolvers<void>();
  let failure: Error | null = null;

  const lines = new LineSplitter((line) => {
    const message = JSON.parse(line) as { readonly notification?: Notification };
    if (message.notification === undefined) {
      waiting.shift()?.(message);
      return;
    }
    notifications.push(message.notification);
    news.resolve();
  });
  socket.on('data', (data: Buffer) => lines.push(data));
  socket.on('error', (error) => (failure = error));
  socket.on('close', () => {
    for (const answer of waiting.splice(0)) answer(null);
    news.resolve();
  });

  async function exchange(message: unknown, bytes?: Readable): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    waiting.push(resolve);
    socket.write(`${JSON.stringify(message)}\n`);
    if (bytes !== undefined) await send(socket, bytes);
    if (socket.closed) resolve(null);
    const answer = await promise;
    if (answer === null) throw failure ?? new Error('the console ended the connection');
    return answer;
  }

  const hello = { connect: { version: protocolVersion, subscribe_notifications: subscribe } };
  const acknowledged = (await exchange(hello)) as { readonly connect_nack?: unknown };
  if (acknowledged.connect_nack !== undefined) {
    socket.destroy();
    throw new Error(`the console refused the connection: ${JSON.stringify(acknowledged.connect_nack)}`);
  }

  return {
    async call(name, body) {
      const request = body === null ? name : { [name]: body };
      return result(name, await exchange({ request })) as Answers[typeof name];
    },
    async install(body, bytes) {
      return (result('install', await exchange({ request: { install: body } }, bytes)) as ForContainer).container;
    },
    async *notifications() {
      for (;;) {
        yield* notifications.splice(0);
        if (notifications.length > 0) continue;
        if (socket.closed) return;
        await news.promise;
        news = Promise.withResolvers();
      }
    },
    close: () => void socket.destroy(),
  };
}

/** The error of an outcome as an exception; `subject` is what the request was about. */
export function consoleError(message: ErrorMessage): ConsoleError {
  const [reason = 'unexpected', detail = {}] = Object.entries(message)[0] ?? [];
  return new ConsoleError(reason, sentence(reason, detail), detail);
}

async function open(url: string): Promise<Socket> {
  const path = socketPath(url);
  return await new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // The last one: the daemon ended before it took the connection.
      const nobody = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes(error.code ?? '');
      reject(
        nobody
          ? new NoConsole(`nobody listens at ${url}`)
          : new Error(`connect ${url}: ${error.code ?? error.message}`),
      );
    });
  });
}

async function send(socket: Socket, bytes: Readable): Promise<void> {
  for await (const chunk of bytes) {
    if (socket.closed) return;
    if (!socket.write(chunk as Buffer)) await drained(socket);
  }
}

function result(name: string, message: unknown): unknown {
  const response = (message as { readonly response?: unknown }).response;
  if (response === 'shutdown') return null;
  const members = response as Readonly<Record<string, unknown>>;
  if ('permission_denied' in members) throw new ConsoleError('permission_denied', `${name} is not permitted here`, {});
  const outcome = members[name];
  if (typeof outcome !== 'object' || outcome === null || Array.isArray(outcome)) return outcome;
  if ('error' in outcome) throw consoleError((outcome.error as { readonly error: ErrorMessage }).error);
  return (outcome as { readonly ok: unknown }).ok;
}

/** An error in words, where the console sent none. */
function sentence(reason: string, detail: Readonly<Record<string, unknown>>): string {
  const text = detail['message'] ?? detail['error'] ?? detail['cause'] ?? detail['context'];
  if (typeof text === 'string') return text;
  const named = detail['container'] ?? detail['repository'] ?? detail['name'];
  const subject = typeof named === 'string' ? named : '';
  const words: Readonly<Record<string, string>> = {
    invalid_container: `${subject} is not installed, or mounted already`,
    umount_busy: `${subject} is in use or not mounted`,
    start_container_started: `${subject} is running`,
    start_container_resource: `${subject} has no init: it is a resource`,
    start_container_missing_resource: `${subject} needs ${String(detail['resource'])} ${String(detail['version'])}, which is not there`,
    stop_container_not_started: `${subject} is not running`,
    invalid_repository: `there is no repository ${subject}`,
    install_duplicate: `${subject} is installed already`,
  };
  return words[reason] ?? `${reason} ${subject}`.trim();
}

/** Cuts a stream of bytes into lines; a character split between two chunks stays whole. */
class LineSplitter {
  readonly #tell: (line: string) => void;
  #pieces: Buffer[] = [];

  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  push(data: Buffer): void {
    let begin = 0;
    for (let end = data.indexOf(0x0a); end >= 0; end = data.indexOf(0x0a, begin)) {
      this.#pieces.push(data.subarray(begin, end));
      this.#tell(Buffer.concat(this.#pieces).toString());
      this.#pieces = [];
      begin = end + 1;
    }
    if (begin < data.length) this.#pieces.push(data.subarray(begin));
  }
}
