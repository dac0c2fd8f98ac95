// One console connection, from its first message to its end.
import type { Lifetime, Runtime } from '../../runtime/runtime.ts';
import type { Log } from '../../logs/log.ts';
import { protocolVersion } from '../protocol/address.ts';
import type { Channel } from './channel.ts';
import type { Feeds } from './feeds.ts';
import { Malformed, parseMessage } from '../protocol/json.ts';
import { cheapClock, createPace } from './pace.ts';
import { createRequestReader, isQuick, quickAnswer } from './quick-answers.ts';
import type { Share } from '../protocol/memory.ts';
import { allows, grants, type Permissions } from '../protocol/permissions.ts';
import { isServed, readConnect, requestMessage, type Request, type RequestName } from '../protocol/protocol.ts';
import { ReadError } from './reader.ts';
import { answer } from './requests.ts';
import type { Tokens } from './tokens.ts';
import type { Session } from './session.ts';
import type { Limits } from '../protocol/console-limits.ts';

/** What the connections of one listener share. */
export interface Listener {
  readonly runtime: Runtime;
  readonly feeds: Feeds;
  readonly tokens: Tokens;
  readonly patches: Lifetime;
  readonly limits: Limits;
  readonly log: Log;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
  /** Says that something is under way that must not be interrupted; gives the function that says that it is over. */
  readonly hold: () => () => void;
}

/** What serves a connection, and its share of what all of its listener's connections may hold. */
export interface Service {
  readonly listener: Listener;
  readonly memory: (ended: AbortSignal) => Share;
}

/** Who is at the other side, and what it may do. */
export interface Peer {
  /** name:version of a container, or `extern:0.0.0`. */
  readonly identity: string;
  readonly permissions: Permissions;
  /** What Northstar's requests cannot say is not heard, as from a container. */
  readonly onlyNorthstar: boolean;
}

/** Serves a channel until either side ends it, from wherever it is; never rejects. */
export async function serveConnection(channel: Channel, peer: Peer, listener: Listener): Promise<void> {
  const { feeds, log } = listener;
  const ended = new AbortController();
  const end = (): void => ended.abort();
  channel.signal.addEventListener('abort', end, { once: true });
  try {
    if (channel.progress.greeted) {
      const { subscribed, streaming, told, watched } = channel.progress;
      const { notify } = channel.outbox;
      // What an earlier process was sending went with it; the client asks for the rest by number.
      const isWhole =
        !streaming &&
        (!subscribed || feeds.joinEvents(notify, told)) &&
        (watched === null || feeds.joinStatus(notify, watched));
      if (isWhole) await serveRequests(channel, peer, listener, ended.signal);
    } else if (await greet(channel, peer, listener)) {
      await serveRequests(channel, peer, listener, ended.signal);
    }
  } catch (error) {
    if (error instanceof Malformed || error instanceof ReadError) {
      log.debug({ reason: error.message, client: peer.identity }, 'console connection ended');
    } else {
      log.error({ err: error, client: peer.identity }, 'console connection failed');
    }
  }
  channel.signal.removeEventListener('abort', end);
  ended.abort();
  feeds.leave(channel.outbox.notify);
  channel.end();
}

/** Reads the first message and answers it; whether the client is served. */
async function greet(channel: Channel, { permissions }: Peer, { limits, feeds }: Listener): Promise<boolean> {
  const { reader, outbox, progress } = channel;
  const silence = Number.isFinite(limits.connectTimeout)
    ? setTimeout(channel.destroy, limits.connectTimeout)
    : undefined;
  const line = await reader.line().finally(() => clearTimeout(silence));
  if (line === null) return false;
  const { version, subscribe } = readConnect(parseMessage(line));
  if (!isServed(version)) {
    await outbox.answer({ connect_nack: { invalid_protocol_version: { version: protocolVersion } } });
    return false;
  }
  if (subscribe && !grants(permissions, 'notifications')) {
    await outbox.answer({ connect_nack: 'permission_denied' });
    return false;
  }
  progress.greeted = true;
  progress.subscribed = subscribe;
  progress.told = feeds.lastEvent();
  await outbox.answer({ connect_ack: null });
  return !subscribe || feeds.joinEvents(outbox.notify, progress.told);
}

/** Answers requests one after the other until the client hangs up. */
async function serveRequests(channel: Channel, peer: Peer, listener: Listener, signal: AbortSignal): Promise<void> {
  const { reader, outbox } = channel;
  const { limits, runtime, feeds, patches, now, tokens } = listener;
  const { progress } = channel;
  const turn = createPace(limits.requestsPerSecond, progress, cheapClock(now));
  if (progress.pace === null) await turn();
  const read = createRequestReader();
  let tasks: (() => void)[] = [];
  const session: Session = {
    runtime,
    feeds,
    identity: peer.identity,
    tokens,
    tokenValidity: limits.tokenValidity,
    permissions: peer.permissions,
    lifetime: patches,
    signal,
    now,
    logs: new Set(),
    inside: { session: null, given: 0, taken: 0 },
    begun: channel.begun,
    begin: channel.begin,
    after: (task) => void tasks.push(task),
    send: (notification) => outbox.send({ notification }),
    notify: outbox.notify,
    watches: (sequence) => void (progress.watched = sequence),
    stretch(size) {
      channel.expect(size);
      return reader.bytes(size, limits.installStall);
    },
  };

  const { left } = channel.progress;
  if (left !== null) await endInstallation(left, channel, limits);
  for (;;) {
    const line = await reader.line();
    if (line === null) return;
    const request = heard(read(line), peer);
    const quick = mayDo(request, peer) && isQuick(request);
    const done = listener.hold();
    const wait = turn(quick);
    if (quick) {
      if (wait !== null) await wait;
      const sending = outbox.answerLine(quickAnswer(request, runtime.state(), peer.identity));
      if (sending !== null) await sending;
      done();
      continue;
    }
    signal.addEventListener('abort', done);
    if (wait !== null) await wait;
    channel.received();
    // What a wait waits for is told while it waits; what any other request causes is told after its response.
    if (request.name !== 'wait') outbox.hold();
    if (isStream(request)) progress.streaming = true;
    // An earlier process had begun with it: nobody can tell how far it came, and doing it twice is worse.
    if (changing.has(request.name) && channel.begun.has(request.name)) return;
    const leave = changing.has(request.name) ? await runtime.enter() : nothing;
    try {
      if (changing.has(request.name)) channel.begin(request.name, 0);
      await outbox.answer({ response: await respond(request, session, peer, listener) });
    } finally {
      leave();
    }
    outbox.release();
    for (const task of tasks) task();
    tasks = [];
    if (progress.streaming) continue;
    signal.removeEventListener('abort', done);
    done();
  }
}

const nothing = (): void => undefined;

/** What an earlier reconciler had received of a package went with it. */
async function endInstallation(left: number, { reader, outbox }: Channel, { installStall }: Limits): Promise<void> {
  await reader.bytes(left, installStall).skip();
  const error = { unexpected: { error: 'the runtime was started anew during the installation: install it again' } };
  await outbox.answer({ response: { install: { error: { error } } } });
}

/** Members that are ours are ignored where only Northstar's are spoken, as it ignores all that it does not know. */
function heard(request: Request, { onlyNorthstar }: Peer): Request {
  if (!onlyNorthstar || request.body === null || !('lifetime' in request.body)) return request;
  const { lifetime: _, ...body } = request.body;
  return { name: request.name, body } as Request;
}

const northstarRequests: ReadonlySet<RequestName> = new Set([
  ...(['ident', 'list', 'repositories', 'shutdown', 'inspect', 'install', 'uninstall', 'mount', 'umount'] as const),
  ...(['start', 'kill', 'token_create', 'token_verify'] as const),
]);

/** Ours that do something else when they are done twice. */
const changing: ReadonlySet<RequestName> = new Set([
  ...(['apply', 'patch', 'rollback', 'restart', 'update', 'install_source'] as const),
]);

/** Whether something is sent when the answer has long been given. */
function isStream({ name, body }: Request): boolean {
  return (
    name === 'logs' ||
    name === 'report' ||
    name === 'exec' ||
    name === 'copy' ||
    (name === 'events' && body?.follow === true)
  );
}

function mayDo(request: Request, { permissions, onlyNorthstar }: Peer): boolean {
  // What a container may hold up is its entry's to say.
  if (onlyNorthstar && (request.name === 'lock' || request.name === 'unlock')) return true;
  return (!onlyNorthstar || northstarRequests.has(request.name)) && allows(permissions, request);
}

async function respond(request: Request, session: Session, peer: Peer, { limits }: Listener): Promise<unknown> {
  if (!mayDo(request, peer) || isQuick(request)) return { permission_denied: requestMessage(request) };
  if (request.name === 'install' && request.body.size > limits.installSize) {
    throw new ReadError(`a package of ${request.body.size} bytes is announced, ${limits.installSize} are the limit`);
  }
  return await answer(request, session);
}
