// Where a console is, and which version of the protocol is spoken there.
import { isIP } from 'node:net';

/** The version of Northstar's console protocol that is spoken here. */
export const protocolVersion = '0.9.2';

/** Where commands look for the daemon when nobody says otherwise. */
export const defaultConsole = 'unix:///run/northstate/console';

/** The port of a `tcp://` address that names none, as in Northstar. */
const defaultPort = 4200;

export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** A `unix:///path` or `tcp://host:port` address; throws with what to write instead. */
export function parseAddress(url: string): Address {
  if (!url.startsWith('tcp://')) return { kind: 'unix', path: socketPath(url) };
  const [, bracketed, plain, port = String(defaultPort)] =
    /^tcp:\/\/(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.-]+))(?::(\d{1,5}))?\/?$/.exec(url) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535 || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    throw new Error(`console ${url}: expected tcp://host:port`);
  }
  return { kind: 'tcp', host, port: Number(port) };
}

/** Whether only this machine can reach an address: 127.0.0.0/8, ::1, or the name that stands for them. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === 'localhost' || /^(?:0{0,4}:){2,7}0{0,3}1$/.test(host);
}

/** Why a listener is refused that other machines could reach as they are. */
export function openToOthers(url: string): string {
  return `console ${url}: other machines could reach it: listen at 127.0.0.1, or ask for client certificates (tls)`;
}

/** The path of a `unix:///path` address; throws with what to write instead. sun_path has 108 bytes, the last of them NUL (unix(7)). */
export function socketPath(url: string): string {
  const path = url.startsWith('unix://') ? url.slice('unix://'.length) : '';
  if (!path.startsWith('/')) throw new Error(`console ${url}: expected unix:///path, with an absolute path`);
  if (Buffer.byteLength(path) > 107) throw new Error(`console ${url}: the path is longer than 107 bytes`);
  return path;
}
