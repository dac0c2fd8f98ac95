// The client's way to a console: a unix socket, TCP, TLS with a certificate of its own, or a descriptor that was handed down.
import { connect as connectTcp, createConnection, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { socketPath } from '../console/protocol/address.ts';

/** Nobody listens at the address. */
export class NoConsole extends Error {}

/** How a client shows who it is where the console wants TLS; PEM. */
export interface ClientTls {
  /** Who signed the console's certificate. */
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** The name in the console's certificate, where it is not the host's. */
  readonly servername?: string;
}

/** Northstar's port, taken where an address names none. */
const defaultPort = 4200;

/**
 * Connects to `unix:///path`, `tcp://host[:port]`, `tls://host[:port]` (with `tls`), or takes the descriptor of `fd:N`, which
 * is what a container finds in NORTHSTAR_CONSOLE. Throws NoConsole.
 */
export async function dial(url: string, tls?: ClientTls): Promise<Socket> {
  const descriptor = /^fd:(\d+)$/.exec(url)?.[1];
  if (descriptor !== undefined) return new Socket({ fd: Number(descriptor), readable: true, writable: true });
  const [socket, ready] = begin(url, tls);
  return await new Promise((resolve, reject) => {
    socket.once(ready, () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // The last one: the daemon ended before it took the connection.
      const nobody = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes(error.code ?? '');
      reject(
        nobody
          ? new NoConsole(`nobody listens at ${url}`)
          : new Error(`connect ${url}: ${error.code ?? error.message}`, { cause: error }),
      );
    });
  });
}

/** A socket that is connecting, and the event that says that it has. */
function begin(url: string, tls: ClientTls | undefined): readonly [Socket, 'connect' | 'secureConnect'] {
  if (url.startsWith('unix:')) return [createConnection(socketPath(url)), 'connect'];
  const { protocol, hostname, port } = parse(url);
  const place = { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) };
  if (protocol === 'tcp:') return [connectTcp({ ...place, noDelay: true }), 'connect'];
  if (tls === undefined) throw new Error(`console ${url}: TLS needs a certificate, a key and an authority`);
  return [connectTls({ ...place, ...tls, minVersion: 'TLSv1.3' }).setNoDelay(true), 'secureConnect'];
}

function parse(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !['tcp:', 'tls:'].includes(parsed.protocol) || parsed.hostname === '') {
    throw new Error(`console ${url}: expected unix:///path, tcp://host:port, tls://host:port or fd:N`);
  }
  return parsed;
}
