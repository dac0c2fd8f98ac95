// Who is at the other end of a connection (unix(7), SO_PEERCRED).
import { declare } from './libc.ts';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
/** Supplementary groups that a process may have (NGROUPS_MAX). */
const mostGroups = 65_536;

const getsockopt = declare('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']);

/** A process as it was when it connected. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  /** Its group, and the supplementary ones. */
  readonly gids: readonly number[];
}

/** The process that connected a unix socket. Throws SyscallError. */
export function peerOf(socket: number): Peer {
  const credentials = new Uint32Array(3);
  getsockopt('SO_PEERCRED', socket, SOL_SOCKET, SO_PEERCRED, credentials, new Uint32Array([credentials.byteLength]));
  const [pid = 0, uid = 0, gid = 0] = credentials;
  const groups = new Uint32Array(mostGroups);
  const size = new Uint32Array([groups.byteLength]);
  getsockopt('SO_PEERGROUPS', socket, SOL_SOCKET, SO_PEERGROUPS, groups, size);
  return { pid, uid, gids: [...new Set([gid, ...groups.subarray(0, (size[0] ?? 0) / 4)])] };
}
