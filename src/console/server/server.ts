// A console listener: who may connect to it, and as what.
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { peerOf } from '../../../native/peer.ts';
import type { Stand } from '../../../state/standing.ts';
import type { Log } from '../../logs/log.ts';
import type { Lifetime, Runtime } from '../../runtime/runtime.ts';
import { parseAddress } from '../protocol/address.ts';
import { socketChannel, type Channel } from './channel.ts';
import type { ClientKeeper, ClientsOf } from './client-keeper.ts';
import { serveConnection, type Listener, type Service } from './connection.ts';
import { openFeeds } from './feeds.ts';
import { followEntrance, openEntrance, type Entrance, type ListenerKeeper } from './entrance.ts';
import { descriptorOf, type Tls } from './listening.ts';
import { keepSocketFile } from './socket-file.ts';
import { createMemory } from '../protocol/memory.ts';
import type { Permissions, PeerRule } from '../protocol/permissions.ts';
import { externalIdentity } from '../protocol/protocol.ts';
import type { Tokens } from './tokens.ts';
import { defaultLimits, type Limits } from '../protocol/console-limits.ts';

/** How long the clients have to read what is left when the console closes, in ms. */
const farewell = 500;

export interface Console {
  /** Of the listening socket. */
  readonly descriptor: number;
  readonly isFile: boolean;
  /** The launcher waits at it, and not this process. */
  readonly isFollowed: boolean;
  /** Accepts nobody whose connection would not outlive this process, until the function that it gives is called. */
  rest(): () => void;
  /** How many such connections have had no answer yet. */
  unanswered(): number;
  /** Ends every connection once its client has read what was sent, and removes the socket. */
  close(): Promise<void>;
}

export interface ConsoleOptions {
  /** `unix:///path` or `tcp://host:port` */
  readonly listen: string;
  /** Of a client that none of `peers` is about. */
  readonly permissions: Permissions;
  /** The first that fits counts. */
  readonly peers?: readonly PeerRule[];
  /** Of the socket's file: its owner's alone when nothing is said. */
  readonly file?: { readonly mode: number; readonly uid: number; readonly gid: number };
  readonly tls?: Tls;
  /** How long patches last when a request does not say. */
  readonly patches: Lifetime;
  readonly runtime: Runtime;
  readonly tokens: Tokens;
  readonly log: Log;
  readonly limits?: Partial<Limits>;
  /** CLOCK_BOOTTIME in ms, for uptimes. */
  readonly now: () => number;
  readonly hold?: Listener['hold'];
  /** Called at each connection, before anything is asked. */
  readonly connected?: () => void;
  readonly keeper?: ListenerKeeper;
  /** Connections that outlive this process; without it none does. */
  readonly clients?: ClientKeeper;
  /** Where it is given the socket's file is made again when somebody deletes it; told of what cannot be watched. */
  readonly stand?: Stand;
}

/** Listens for console connections; rejects when that cannot be (listening.ts). */
export async function openConsole(options: ConsoleOptions): Promise<Console> {
  const { runtime, patches, log, now, tokens, peers = [], permissions, keeper } = options;
  const { hold = () => () => undefined } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const feeds = openFeeds(runtime);
  const listener: Listener = { runtime, feeds, tokens, patches, limits, log, now, hold };
  const memory = createMemory(limits.memory);
  const service: Service = { listener, memory };
  const sockets = new Map<Socket, Channel>();
  const kept = new Set<Channel>();
  const { listen: url, tls = null } = options;
  const isFile = parseAddress(url).kind === 'unix';

  /** What a client may do. */
  function granted(socket: number): Permissions {
    const rule = isFile && peers.length > 0 ? granting(socket, peers) : null;
    return rule ?? permissions;
  }

  function admits(): boolean {
    options.connected?.();
    const isFull = sockets.size + kept.size >= limits.connections;
    if (isFull) log.warn({ limit: limits.connections, listen: url }, 'too many console connections');
    return !isFull;
  }

  function accept(socket: Socket): void {
    if (admits()) serve(socket, granted(descriptorOf(socket)));
    else socket.destroy();
  }

  function serve(socket: Socket, may: Permissions): void {
    const channel = socketChannel(socket, limits, memory);
    sockets.set(socket, channel);
    socket.on('close', () => sockets.delete(socket));
    // A client that went away shows as the end of the stream to whoever reads or writes.
    socket.on('error', (error) => log.debug({ err: error }, 'console connection broke'));
    const peer = { identity: externalIdentity, permissions: may, onlyNorthstar: false };
    void serveConnection(channel, peer, listener);
  }

  /** Of those whose connections outlive this process. */
  const clients: ClientsOf = {
    ...{ listener: url, service, granted, admits },
    serves(channel) {
      kept.add(channel);
      channel.signal.addEventListener('abort', () => kept.delete(channel));
    },
    takes: (fd) => serve(new Socket({ fd, allowHalfOpen: true }), granted(fd)),
  };
  options.clients?.adopt(clients);

  const address = parseAddress(url);
  const file = options.file ?? { mode: 0o600, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const place = { name: `listener ${url}`, url, file, tls, limits, log, keeper };
  const follower = address.kind === 'unix' ? options.clients : undefined;
  const start = (from: number | null): Promise<Entrance> =>
    follower === undefined ? openEntrance(place, from, accept) : followEntrance(place, from, follower, clients);
  let entrance = await start(keeper?.kept.get(place.name) ?? null);
  const named =
    address.kind === 'unix' && options.stand !== undefined
      ? keepSocketFile({
          path: address.path,
          async bind() {
            const former = entrance;
            entrance = await start(null);
            // Whoever is connected by way of it stays so.
            void former.close();
          },
          ...{ log, stand: options.stand },
        })
      : null;

  return {
    get descriptor() {
      return entrance.descriptor;
    },
    isFile,
    isFollowed: follower !== undefined,
    rest: () => entrance.rest(),
    unanswered() {
      // Those too that have not shown a certificate.
      const strangers = Math.max(0, entrance.connected().size - sockets.size);
      return strangers + [...sockets.values()].filter(({ progress }) => !progress.greeted).length;
    },
    async close() {
      named?.close();
      feeds.close();
      const closed = entrance.close();
      for (const socket of sockets.keys()) socket.end();
      const ended = [...kept].map((channel) => once(channel.signal, 'abort'));
      for (const channel of kept) channel.end();
      const slow = setTimeout(() => {
        for (const each of [...sockets.keys(), ...entrance.connected(), ...kept]) each.destroy();
      }, farewell);
      await Promise.all([closed, ...ended]);
      clearTimeout(slow);
      if (address.kind === 'unix') rmSync(address.path, { force: true });
    },
  };
}

/** What the first rule that fits a client's process gives it; null when none does. */
function granting(socket: number, peers: readonly PeerRule[]): Permissions | null {
  const { uid, gids } = peerOf(socket);
  const fits = (rule: PeerRule) =>
    (rule.uid === undefined || rule.uid === uid) && (rule.gid === undefined || gids.includes(rule.gid));
  return peers.find(fits)?.permissions ?? null;
}
