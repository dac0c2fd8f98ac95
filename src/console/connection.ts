// One console connection, from its first message to its end.
import type { Socket } from 'node:net';
import type { Lifetime, Runtime } from '../runtime.ts';
import type { Log } from '../log.ts';
import { protocolVersion } from './address.ts';
import type { Feeds } from './feeds.ts';
import { Malformed, parseMessage } from './json.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import { createPace } from './pace.ts';
import { allows, grants, type Permissions } from './permissions.ts';
import { isServed, readConnect, readRequest, requestMessage, type Request } from './protocol.ts';
import { createReader, ReadError, type Reader } from './reader.ts';
import { answer, type Session } from './requests.ts';

/** What one connection, and one listener, may use. */
export interface Limits {
  /** Requests per second, the connect counted; more are delayed. */
  readonly requestsPerSecond: number;
  /** Bytes of one message. */
  readonly requestSize: number;
  /** Bytes of one package. */
  readonly installSize: number;
  /** ms of silence within a package. */
  readonly installStall: number;
  /** ms until the first message. */
  readonly connectTimeout: number;
  /** Bytes of notifications that may wait for a slow reader. */
  readonly unread: number;
  /** ms that a token is good for. */
  readonly tokenValidity: number;
  /** Connections at once. */
  readonly connections: number;
}

/** What the connections of one listener share. */
export interface Listener {
  readonly runtime: Runtime;
  readonly feeds: Feeds;
  readonly permissions: Permissions;
  readonly patches: Lifetime;
  readonly limits: Limits;
  readonly log: Log;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
}

/** Serves a socket until either side ends it; never rejects. */
export async function serveConnection(socket: Socket, listener: Listener): Promise<void> {
  const { limits, log } = listener;
  const reader = createReader(socket, limits.requestSize);
  const outbox = createOutbox(socket, limits.unread);
  const ended = new AbortController();
  socket.on('close', () => ended.abort());
  try {
    if (await greet(reader, outbox, socket, listener)) {
      await serveRequests(reader, outbox, listener, ended.signal);
    }
  } catch (error) {
    if (error instanceof Malformed || error instanceof ReadError) {
      log.debug({ reason: error.message }, 'console connection ended');
    } else {
      log.error({ err: error }, 'console connection failed');
    }
  }
  ended.abort();
  listener.feeds.leave(outbox.notify);
  socket.end();
  socket.destroySoon();
}

/** Reads the first message and answers it; whether the client is served. */
async function greet(
  reader: Reader,
  outbox: Outbox,
  socket: Socket,
  { limits, permissions, feeds }: Listener,
): Promise<boolean> {
  const silence = setTimeout(() => socket.destroy(), limits.connectTimeout);
  const line = await reader.line().finally(() => clearTimeout(silence));
  if (line === null) return false;
  const { version, subscribe } = readConnect(parseMessage(line));
  if (!isServed(version)) {
    await outbox.send({ connect_nack: { invalid_protocol_version: { version: protocolVersion } } });
    return false;
  }
  if (subscribe && !grants(permissions, 'notifications')) {
    await outbox.send({ connect_nack: 'permission_denied' });
    return false;
  }
  await outbox.send({ connect_ack: null });
  if (subscribe) feeds.joinEvents(outbox.notify);
  return true;
}

/** Answers requests one after the other until the client hangs up. */
async function serveRequests(reader: Reader, outbox: Outbox, listener: Listener, signal: AbortSignal): Promise<void> {
  const { limits, runtime, feeds, patches, now } = listener;
  const turn = createPace(limits.requestsPerSecond);
  await turn();
  let tasks: (() => void)[] = [];
  const session: Session = {
    runtime,
    feeds,
    lifetime: patches,
    signal,
    now,
    logs: new Set(),
    after: (task) => void tasks.push(task),
    send: (notification) => outbox.send({ notification }),
    notify: outbox.notify,
    stretch: (size) => reader.bytes(size, limits.installStall),
  };

  for (;;) {
    const line = await reader.line();
    if (line === null) return;
    await turn();
    const request = readRequest(parseMessage(line));
    // What a wait waits for is told while it waits; what any other request causes is told after its response.
    if (request.name !== 'wait') outbox.hold();
    await outbox.send({ response: await respond(request, session, listener) });
    outbox.release();
    for (const task of tasks) task();
    tasks = [];
  }
}

async function respond(request: Request, session: Session, { permissions, limits }: Listener): Promise<unknown> {
  if (!allows(permissions, request)) return { permission_denied: requestMessage(request) };
  if (request.name === 'install' && request.body.size > limits.installSize) {
    throw new ReadError(`a package of ${request.body.size} bytes is announced, ${limits.installSize} are the limit`);
  }
  return await answer(request, session);
}
