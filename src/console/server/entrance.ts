// Where connections come in: a listening socket that Node waits at, or one that the launcher waits at for us.
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Log } from '../../logs/log.ts';
import type { Limits } from '../protocol/console-limits.ts';
import { socketPath } from '../protocol/address.ts';
import type { ClientKeeper, ClientsOf } from './client-keeper.ts';
import { bindFile, descriptorOf, listen, restAt, type ListenOptions, type Tls } from './listening.ts';

/** Keeps a listening socket for the process that comes after this one. */
export interface ListenerKeeper {
  readonly kept: ReadonlyMap<string, number>;
  keep(name: string, fd: number): Promise<void>;
}

export interface Entrance {
  readonly descriptor: number;
  /** Connections, those too that have not shown a certificate yet. */
  connected(): ReadonlySet<Socket>;
  /** Accepts nobody until the function that it gives is called (listening.ts). */
  rest(): () => void;
  /** Resolves when nobody is connected any more by way of it. */
  close(): Promise<void>;
}

export interface Place {
  /** What the socket is kept under. */
  readonly name: string;
  readonly url: string;
  readonly file: Pick<ListenOptions, 'mode' | 'uid' | 'gid'>;
  readonly tls: Tls | null;
  readonly limits: Pick<Limits, 'connections' | 'connectTimeout'>;
  readonly keeper: ListenerKeeper | undefined;
  readonly log: Log;
}

/** Node accepts. `from`: the socket as an earlier process has left it. */
export async function openEntrance(
  { name, url, file, tls, limits, keeper, log }: Place,
  from: number | null,
  accept: (socket: Socket) => void,
): Promise<Entrance> {
  const connected = new Set<Socket>();
  const times = { backlog: limits.connections, handshakeTimeout: limits.connectTimeout };
  const server = await listen({ listen: url, ...file, tls, inherited: from, ...times }, accept);
  server.maxConnections = limits.connections;
  server.on('drop', () => log.warn({ limit: limits.connections, listen: url }, 'too many console connections'));
  server.on('connection', (socket) => {
    connected.add(socket);
    socket.on('close', () => connected.delete(socket));
  });
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'client without a certificate that is accepted'));
  if (from === null) await keeper?.keep(name, descriptorOf(server));
  return {
    // Another one after a rest.
    get descriptor() {
      return descriptorOf(server);
    },
    connected: () => connected,
    rest: () => restAt(server, limits.connections),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** The launcher accepts, at a socket in the file system: no death of this process loses a connection. */
export async function followEntrance(
  { name, url, file, limits, keeper }: Place,
  from: number | null,
  clients: ClientKeeper,
  of: ClientsOf,
): Promise<Entrance> {
  const descriptor = from ?? (await bindFile(socketPath(url), { ...file, backlog: limits.connections }));
  if (from === null) await keeper?.keep(name, descriptor);
  const end = await clients.follow(name, descriptor, of);
  return {
    descriptor,
    connected: () => new Set(),
    // What the launcher accepts is kept.
    rest: () => () => undefined,
    close: () => end().then(() => closeSync(descriptor)),
  };
}
