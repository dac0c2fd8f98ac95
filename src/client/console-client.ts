// A client of the console: requests answered in order, notifications as an async iteration.
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { protocolVersion } from '../console/protocol/address.ts';
import type { Answers, ErrorMessage, ForContainer, Lasting, Notification } from '../console/protocol/answers.ts';
import { dial, type ClientTls } from './dial.ts';
import { drained } from '../console/protocol/outbox.ts';
import type { Bodies } from '../console/protocol/protocol.ts';
import { createDeferred } from './deferred.ts';

export type * from '../console/protocol/answers.ts';
export { NoConsole, type ClientTls } from './dial.ts';

/** The connection ended before the answer came: whether the console has done what was asked is not known. */
export class ConnectionLost extends Error {}

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

export interface Client {
  /** Sends a request; gives its `ok`, or throws a ConsoleError. `mount` and `umount` give one outcome for each container. */
  call<K extends keyof Answers>(name: K, body: Bodies[K]): Promise<Answers[K]>;
  /** Sends a package of `size` bytes into a repository. */
  install(body: Bodies['install'], bytes: Readable): Promise<ForContainer & Lasting>;
  /** What the console tells unasked, until it or `close` ends the connection. Kept until it is read, for one reader. */
  notifications(): AsyncIterable<Notification>;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  /** Hangs up. */
  close(): void;
}

export interface ClientOptions {
  /** Have the events (started, exit, ...) told as notifications, too. */
  readonly subscribe?: boolean;
  /** The connection serves one stream of notifications: while its reader lags behind, nothing more is read. */
  readonly stream?: boolean;
  readonly tls?: ClientTls | undefined;
  /** Told every line that the console sends but its greeting. */
  readonly tap?: ((line: string) => void) | undefined;
}

/** Notifications that wait for their reader: a stream reads on below it, any other connection is given up beyond the second. */
const mostAhead = 1024;
const mostUnread = 100_000;

/** Connects to an address as dial() knows them. Throws NoConsole, or an Error when the console refuses the connection. */
export async function connectConsole(url: string, options: ClientOptions = {}): Promise<Client> {
  const { subscribe = false, stream = false, tap } = options;
  const socket = await dial(url, options.tls);
  const waiting: ((message: unknown) => void)[] = [];
  const notifications: Notification[] = [];
  const closed = createDeferred<void>();
  let news = createDeferred<void>();
  let failure: Error | null = null;
  let greeted = false;

  const lines = new LineSplitter((line) => {
    const message = JSON.parse(line) as { readonly notification?: Notification };
    if (greeted) tap?.(line);
    greeted = true;
    if (message.notification === undefined) {
      waiting.shift()?.(message);
      return;
    }
    notifications.push(message.notification);
    if (stream && notifications.length > mostAhead) socket.pause();
    if (!stream && notifications.length > mostUnread) socket.destroy(new Error('notifications are not read'));
    news.resolve();
  });
  socket.on('data', (data: Buffer) => lines.push(data));
  socket.on('error', (error) => (failure = error));
  socket.on('close', () => {
    for (const answer of waiting.splice(0)) answer(null);
    news.resolve();
    closed.resolve();
  });

  async function exchange(message: unknown, bytes?: Readable): Promise<unknown> {
    const { promise, resolve } = createDeferred<unknown>();
    waiting.push(resolve);
    socket.write(`${JSON.stringify(message)}\n`);
    if (bytes !== undefined) await send(socket, bytes);
    if (socket.closed) resolve(null);
    const answer = await promise;
    if (answer === null) throw new ConnectionLost('the console ended the connection', { cause: failure });
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
      return result('install', await exchange({ request: { install: body } }, bytes)) as ForContainer & Lasting;
    },
    async *notifications() {
      for (;;) {
        yield* notifications.splice(0);
        if (notifications.length > 0) continue;
        if (stream) socket.resume();
        if (socket.closed) return;
        await news.promise;
        news = createDeferred<void>();
      }
    },
    closed: closed.promise,
    close: () => void socket.destroy(),
  };
}

/** The error of an outcome as an exception; `subject` is what the request was about. */
export function consoleError(message: ErrorMessage): ConsoleError {
  const [reason = 'unexpected', detail = {}] = Object.entries(message)[0] ?? [];
  return new ConsoleError(reason, sentence(reason, detail), detail);
}

async function send(socket: Socket, bytes: Readable): Promise<void> {
  for await (const chunk of bytes) {
    if (socket.closed) return;
    if (!socket.write(chunk as Buffer)) await drained(socket);
  }
}

/** Requests whose answer has another name. */
const answerNames: Readonly<Record<string, string>> = { token_create: 'token', token_verify: 'token_verification' };

function result(name: string, message: unknown): unknown {
  const response = (message as { readonly response?: unknown }).response;
  if (response === 'shutdown') return null;
  const members = response as Readonly<Record<string, unknown>>;
  if ('permission_denied' in members) throw new ConsoleError('permission_denied', denial(name, members), {});
  const outcome = members[answerNames[name] ?? name];
  if (typeof outcome !== 'object' || outcome === null || Array.isArray(outcome)) return outcome;
  if ('error' in outcome) throw consoleError((outcome.error as { readonly error: ErrorMessage }).error);
  return (outcome as { readonly ok: unknown }).ok;
}

/** Which permission is lacking: a console may allow an exec as the application, and no other. */
function denial(name: string, { permission_denied: denied }: Readonly<Record<string, unknown>>): string {
  const { exec } = denied as { readonly exec?: { readonly privileged?: boolean; readonly user?: unknown } };
  const isMore = exec?.privileged === true || (exec?.user ?? null) !== null;
  return isMore
    ? 'exec as another user, or with more rights than the application has, is not permitted here (exec_privileged)'
    : `${name} is not permitted here`;
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
