// A console listener on a unix socket.
import { lstatSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import type { Log } from '../log.ts';
import type { Lifetime, Runtime } from '../runtime.ts';
import { socketPath } from './address.ts';
import { serveConnection, type Limits, type Listener } from './connection.ts';
import { openFeeds } from './feeds.ts';
import type { Permissions } from './permissions.ts';

/** Northstar's limits, and ours where it has none. */
export const defaultLimits: Limits = {
  requestsPerSecond: 1000,
  requestSize: 1024 * 1024,
  installSize: 256 * 1024 * 1024,
  installStall: 10_000,
  connectTimeout: 10_000,
  unread: 1024 * 1024,
  tokenValidity: 60_000,
  connections: 1024,
};

/** How long the clients have to read what is left when the console closes, in ms. */
const farewell = 500;

export interface Console {
  /** Ends every connection once its client has read what was sent, and removes the socket. */
  close(): Promise<void>;
}

export interface ConsoleOptions {
  /** `unix:///path` */
  readonly listen: string;
  readonly permissions: Permissions;
  /** How long patches last when a request does not say. */
  readonly patches: Lifetime;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly limits?: Partial<Limits>;
  /** CLOCK_BOOTTIME in ms, for uptimes. */
  readonly now: () => number;
  /** Called at each connection, before anything is asked. */
  readonly connected?: () => void;
}

/**
 * Listens for console connections. A socket that a dead process left behind is replaced; the new one is its owner's
 * alone (mode 0600). Throws when somebody listens there, when something else stands in its place, or with bind's errno.
 */
export async function openConsole(options: ConsoleOptions): Promise<Console> {
  const { listen, permissions, patches, runtime, log, now } = options;
  const path = socketPath(listen);
  await removeStale(path);

  const limits = { ...defaultLimits, ...options.limits };
  const feeds = openFeeds(runtime);
  const listener: Listener = { runtime, feeds, permissions, patches, limits, log, now };
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, (socket) => {
    sockets.add(socket);
    options.connected?.();
    socket.on('close', () => sockets.delete(socket));
    // A client that went away shows as the end of the stream to whoever reads or writes.
    socket.on('error', (error) => log.debug({ err: error }, 'console connection broke'));
    void serveConnection(socket, listener);
  });
  server.maxConnections = limits.connections;
  server.on('drop', () => log.warn({ limit: limits.connections }, 'too many console connections'));
  await bind(server, path);

  return {
    async close() {
      feeds.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.end();
      const slow = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, farewell);
      await closed;
      clearTimeout(slow);
    },
  };
}

/** Binds under a umask that leaves the socket to its owner: it is never open to others, not even briefly. bind(2) happens in the call. */
async function bind(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    const umask = process.umask(0o177);
    server.listen(path, resolve);
    process.umask(umask);
  });
}

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`console ${path}: there is something else than a socket; remove it`);
  if (await isServedByOther(path)) throw new Error(`console ${path}: another process listens there`);
  rmSync(path, { force: true });
}

async function isServedByOther(path: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const probe = createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(new Error(`console ${path}: ${error.message}`));
    });
  });
}
