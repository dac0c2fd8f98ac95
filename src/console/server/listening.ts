// The socket that clients connect to: in the file system for those whom its mode lets, on the loopback for everybody on
// the machine, or for the holders of a certificate anywhere.
import { chmodSync, chownSync, closeSync, lstatSync, rmSync } from 'node:fs';
import { lookup } from 'node:dns/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { openRegular } from '../../../native/file.ts';
import { bindListener, duplicate } from '../../../native/unix-socket.ts';
import { isLoopback, openToOthers, parseAddress, type Address } from '../protocol/address.ts';

/** PEM files: our certificate and its key, and the authority that has signed the clients'. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface ListenOptions {
  /** `unix:///path` or `tcp://host:port` */
  readonly listen: string;
  /** Of the socket's file. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly tls: Tls | null;
  /** The socket as an earlier process has left it: it is bound, and clients may have connected meanwhile. */
  readonly inherited: number | null;
  /** Connections that may wait to be accepted. */
  readonly backlog: number;
  /** ms that a client may take to show its certificate. */
  readonly handshakeTimeout: number;
}

/** A file that only its owner can use while it is not yet set up. */
const OWNER_ALONE = 0o177;

/**
 * Listens. A socket that a dead process left behind is replaced. Rejects when somebody listens there, when something else
 * stands in its place, when others than this machine could reach it without a certificate, or with bind's errno.
 */
export async function listen(options: ListenOptions, accept: (socket: Socket) => void): Promise<Server> {
  const address = parseAddress(options.listen);
  const server = await createFor(options, accept);
  const { inherited, backlog } = options;
  const listenAt = (fd: number) => settled(server, () => listenOn(server, fd, backlog));
  if (inherited !== null) await listenAt(inherited);
  else if (address.kind === 'unix') await listenAt(await bindFile(address.path, options));
  else await bindAddress(server, address, options);
  return server;
}

/** What Node's own listen() does in the end; before that it loads what processes share sockets with (cluster), at each start. */
function listenOn(server: Server, fd: number, backlog: number): void {
  const { _listen2: listen2 } = server as { readonly _listen2?: (...words: unknown[]) => void };
  // A backlog beside the descriptor is passed over.
  if (listen2 === undefined) server.listen({ fd }, backlog);
  else listen2.call(server, null, null, null, backlog, fd);
}

/** The descriptor of a listening socket, for a later process. */
export function descriptorOf(socket: Server | Socket): number {
  return (socket as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}

/**
 * Accepts nobody from now on at a socket that somebody else holds as well (the launcher): who connects waits there for the process
 * that comes after this one, or for the function that it gives, which goes on.
 */
export function restAt(server: Server, backlog: number): () => void {
  const own = server as unknown as { _handle: { readonly fd: number; close(): void } | null };
  const { _handle: handle } = own;
  if (handle === null) return () => undefined;
  const fd = duplicate(handle.fd, 'a listening socket');
  // Not close() of the server: that is for good, and begins the end of who is connected.
  own._handle = null;
  handle.close();
  return () => listenOn(server, fd, backlog);
}

async function createFor({ tls, handshakeTimeout }: ListenOptions, accept: (socket: Socket) => void): Promise<Server> {
  if (tls === null) return createServer({ allowHalfOpen: true }, accept);
  const { createServer: createTlsServer } = await import('node:tls');
  const [cert, key, ca] = await Promise.all([tls.cert, tls.key, tls.ca].map(readRegular));
  const certificates = { cert, key, ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;
  const server = createTlsServer({ ...certificates, handshakeTimeout }, (socket) => {
    // Only now: who hangs up before it has shown a certificate has nothing more to hear.
    socket.allowHalfOpen = true;
    accept(socket);
  });
  return server.on('tlsClientError', (_, socket) => socket.destroy());
}

async function readRegular(path: string): Promise<Buffer> {
  await using file = await openRegular(path);
  return await file.readFile();
}

/**
 * Binds so that it is never open to others than it is meant for, not even briefly; gives the descriptor, which is the caller's.
 * Rejects as `listen` does.
 */
export async function bindFile(
  path: string,
  { mode, uid, gid, backlog }: Pick<ListenOptions, 'mode' | 'uid' | 'gid' | 'backlog'>,
): Promise<number> {
  await removeStale(path);
  const umask = process.umask(OWNER_ALONE);
  let fd: number;
  try {
    fd = bindListener(path, backlog);
  } finally {
    process.umask(umask);
  }
  try {
    chownSync(path, uid, gid);
    chmodSync(path, mode);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw new Error(`console ${path}: ${(error as Error).message}`, { cause: error });
  }
}

async function bindAddress(
  server: Server,
  { host, port }: Address & { kind: 'tcp' },
  { listen: url, tls, backlog }: ListenOptions,
): Promise<void> {
  const { address } = await lookup(host);
  if (tls === null && !isLoopback(address)) throw new Error(openToOthers(url));
  await settled(server, () => server.listen({ host: address, port, backlog }));
}

async function settled(server: Server, start: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const done = (): void => resolve(undefined);
  server.once('listening', done).once('error', reject);
  start();
  await promise.finally(() => server.off('listening', done).off('error', reject));
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
