// A console listener: who may connect to it, and as what.
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { peerOf } from '../../../native/peer.ts';
import type { Stand } from '../../../state/standing.ts';
import type { Log } from '../../logs/log.ts';
import type { Lifetime, Runtime } from '../../runtime/runtime.ts';
import { parseAddress } from '../protocol/address.ts';
import { socketChannel, type Channel } from './channel.ts';
import { serveConnection, type Listener, type Service } from './connection.ts';
import { openFeeds } from './feeds.ts';
import type { Conversation } from './kept-file.ts';
import { descriptorOf, listen, type Tls } from './listening.ts';
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
  /** Ends every connection once its client has read what was sent, and removes the socket. */
  close(): Promise<void>;
}

/** Keeps a listening socket for the process that comes after this one. */
export interface ListenerKeeper {
  readonly kept: ReadonlyMap<string, number>;
  keep(name: string, fd: number): Promise<void>;
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

/** Keeps the connections of clients of a unix socket for the process that comes after this one. */
export interface ClientKeeper {
  /** Goes on with those of this listener (its URL) that an earlier process has left. */
  adopt(listener: string, service: Service): Channel[];
  /** Takes a connection over, whose socket is not used any more; null when there are too many. */
  take(socket: Socket, who: Pick<Conversation, 'permissions' | 'listener'>, service: Service): Promise<Channel> | null;
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
  const sockets = new Set<Socket>();
  const kept = new Set<Channel>();
  const { listen: url, tls = null } = options;
  const isFile = parseAddress(url).kind === 'unix';

  function accept(socket: Socket): void {
    options.connected?.();
    const rule = isFile && peers.length > 0 ? granting(descriptorOf(socket), peers) : null;
    const granted = rule ?? permissions;
    if (sockets.size + kept.size >= limits.connections) drop(socket);
    else if (!isFile || !keep(socket, granted)) serve(socket, granted);
  }

  function drop(socket: Socket): void {
    log.warn({ limit: limits.connections, listen: url }, 'too many console connections');
    socket.destroy();
  }

  /** Whether the connection is one that outlives this process. */
  function keep(socket: Socket, granted: Permissions): boolean {
    const taken = options.clients?.take(socket, { permissions: granted, listener: url }, service) ?? null;
    taken?.then(track, (error: unknown) => log.error({ err: error }, 'a console connection cannot be kept'));
    return taken !== null;
  }

  function track(channel: Channel): void {
    kept.add(channel);
    channel.signal.addEventListener('abort', () => kept.delete(channel));
  }

  function serve(socket: Socket, granted: Permissions): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // A client that went away shows as the end of the stream to whoever reads or writes.
    socket.on('error', (error) => log.debug({ err: error }, 'console connection broke'));
    const peer = { identity: externalIdentity, permissions: granted, onlyNorthstar: false };
    void serveConnection(socketChannel(socket, limits, memory), peer, listener);
  }

  const name = `listener ${options.listen}`;
  const file = options.file ?? { mode: 0o600, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const inherited = keeper?.kept.get(name) ?? null;
  options.clients?.adopt(url, service).forEach(track);
  // Those, too, that have not shown a certificate yet.
  const connected = new Set<Socket>();
  const address = parseAddress(url);

  async function start(from: number | null): Promise<Server> {
    const times = { backlog: limits.connections, handshakeTimeout: limits.connectTimeout };
    const made = await listen({ listen: url, ...file, tls, inherited: from, ...times }, accept);
    made.maxConnections = limits.connections;
    made.on('drop', () => log.warn({ limit: limits.connections, listen: url }, 'too many console connections'));
    made.on('connection', (socket) => {
      connected.add(socket);
      socket.on('close', () => connected.delete(socket));
    });
    made.on('tlsClientError', (error) => log.debug({ err: error }, 'client without a certificate that is accepted'));
    if (keeper !== undefined && from === null) await keeper.keep(name, descriptorOf(made));
    return made;
  }

  let server = await start(inherited);
  const named =
    address.kind === 'unix' && options.stand !== undefined
      ? keepSocketFile({
          path: address.path,
          async bind() {
            // Closed first: it takes the name away that it was bound to. Who is connected to it stays so.
            server.close();
            server = await start(null);
          },
          ...{ log, stand: options.stand },
        })
      : null;

  return {
    get descriptor() {
      return descriptorOf(server);
    },
    isFile,
    async close() {
      named?.close();
      feeds.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.end();
      const ended = [...kept].map((channel) => once(channel.signal, 'abort'));
      for (const channel of kept) channel.end();
      const slow = setTimeout(() => {
        for (const each of [...sockets, ...connected, ...kept]) each.destroy();
      }, farewell);
      await Promise.all([closed, ...ended]);
      clearTimeout(slow);
      // A socket that was inherited has no path for Node to remove.
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
