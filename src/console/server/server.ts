// A console listener: who may connect to it, and as what.
import { rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { peerOf } from '../../../native/peer.ts';
import type { Log } from '../../logs/log.ts';
import type { Lifetime, Runtime } from '../../runtime/runtime.ts';
import { parseAddress } from '../protocol/address.ts';
import { socketChannel } from './channel.ts';
import { serveConnection, type Listener } from './connection.ts';
import { openFeeds } from './feeds.ts';
import { descriptorOf, listen, type Tls } from './listening.ts';
import { createMemory } from '../protocol/memory.ts';
import type { Permissions, PeerRule } from '../protocol/permissions.ts';
import { externalIdentity } from '../protocol/protocol.ts';
import type { Tokens } from './tokens.ts';
import { defaultLimits, type Limits } from '../protocol/console-limits.ts';

/** How long the clients have to read what is left when the console closes, in ms. */
const farewell = 500;

export interface Console {
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
  /** Called at each connection, before anything is asked. */
  readonly connected?: () => void;
  readonly keeper?: ListenerKeeper;
}

/** Listens for console connections; rejects when that cannot be (listening.ts). */
export async function openConsole(options: ConsoleOptions): Promise<Console> {
  const { runtime, patches, log, now, tokens, peers = [], permissions, keeper } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const feeds = openFeeds(runtime);
  const listener: Listener = { runtime, feeds, tokens, patches, limits, log, now };
  const memory = createMemory(limits.memory);
  const sockets = new Set<Socket>();
  const isFile = parseAddress(options.listen).kind === 'unix';

  function accept(socket: Socket): void {
    sockets.add(socket);
    options.connected?.();
    socket.on('close', () => sockets.delete(socket));
    // A client that went away shows as the end of the stream to whoever reads or writes.
    socket.on('error', (error) => log.debug({ err: error }, 'console connection broke'));
    const granted = isFile && peers.length > 0 ? granting(descriptorOf(socket), peers) : permissions;
    const peer = { identity: externalIdentity, permissions: granted ?? permissions, onlyNorthstar: false };
    void serveConnection(socketChannel(socket, limits, memory), peer, listener);
  }

  const name = `listener ${options.listen}`;
  const file = options.file ?? { mode: 0o600, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const { listen: url, tls = null } = options;
  const inherited = keeper?.kept.get(name) ?? null;
  const server = await listen(
    { listen: url, ...file, tls, inherited, backlog: limits.connections, handshakeTimeout: limits.connectTimeout },
    accept,
  );
  server.maxConnections = limits.connections;
  server.on('drop', () => log.warn({ limit: limits.connections, listen: url }, 'too many console connections'));
  // Those, too, that have not shown a certificate yet.
  const connected = new Set<Socket>();
  server.on('connection', (socket) => {
    connected.add(socket);
    socket.on('close', () => connected.delete(socket));
  });
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'client without a certificate that is accepted'));
  if (keeper !== undefined && inherited === null) await keeper.keep(name, descriptorOf(server));

  return {
    async close() {
      feeds.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.end();
      const slow = setTimeout(() => {
        for (const socket of [...sockets, ...connected]) socket.destroy();
      }, farewell);
      await closed;
      clearTimeout(slow);
      // A socket that was inherited has no path for Node to remove.
      const address = parseAddress(url);
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
