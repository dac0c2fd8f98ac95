// Where a console is, and which version of the protocol is spoken there.

/** The version of Northstar's console protocol that is spoken here. */
export const protocolVersion = '0.9.2';

/** Where commands look for the daemon when nobody says otherwise. */
export const defaultConsole = 'unix:///run/northstate/console';

/** The path of a `unix:///path` address; throws with what to write instead. sun_path has 108 bytes, the last of them NUL (unix(7)). */
export function socketPath(url: string): string {
  const path = url.startsWith('unix://') ? url.slice('unix://'.length) : '';
  if (!path.startsWith('/')) throw new Error(`console ${url}: expected unix:///path, with an absolute path`);
  if (Buffer.byteLength(path) > 107) throw new Error(`console ${url}: the path is longer than 107 bytes`);
  return path;
}
