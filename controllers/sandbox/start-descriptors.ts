// The descriptors of one start besides its streams: the manifest's sockets, and an end of a console connection.
import { chmodSync, chownSync, closeSync, constants, openSync, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { Op } from '../../native/wire/ops.ts';
import { bindSocket, isAbandonedSocket } from '../../native/unix-socket.ts';
import type { Manifest } from '../../state/schema/manifest.ts';
import { mostSockets } from '../../state/schema/launch-limits.ts';
import { TerminalError } from '../failure.ts';
import { messageOf } from '../../state/errno.ts';
import { containerId, containerName } from '../../state/container-id.ts';

/** An open descriptor for the application; `close` closes this process's own copy once it is sent. */
export interface ConsoleEnd {
  readonly fd: number;
  close(): void;
}

/** What the application of a start is given: descriptors from 3 on, and the variables that name them. */
export interface StartDescriptors {
  readonly ops: readonly Op[];
  readonly environment: ReadonlyMap<string, string>;
  close(): void;
}

export interface Descriptors {
  /** Opens what the manifest asks for the attempt `id`. Throws TerminalError for a socket that cannot be there. */
  open(manifest: Manifest, id: number): Promise<StartDescriptors>;
  /** Removes the files of sockets that no process holds: those of all versions of a name, or (null) of every name. */
  sweep(name: string | null): void;
}

/** `full` or a list. */
export type Permissions = NonNullable<Manifest['console']>['permissions'];

/** Of socketDir: containers that have it mounted reach a socket by its name, whatever user they are, and list nothing. */
export const socketDirMode = 0o711;

export interface DescriptorPorts {
  readonly socketDir: string;
  /** Makes a console connection with these permissions for a container (name:version); null gives it none. */
  readonly console: (container: string, attempt: number, permissions: Permissions) => Promise<ConsoleEnd | null>;
  readonly log: Pick<Logger, 'warn'>;
}

/** The application's first descriptor beyond its streams. */
export const firstNumber = 3;
/** Bytes of a file's name. */
const longestName = 255;
const O_PATH = 0x200000;

export function createDescriptors(ports: DescriptorPorts): Descriptors {
  return {
    open: (manifest, id) => openAll(manifest, id, ports),
    sweep: (name) => sweep(name, ports),
  };
}

async function openAll(manifest: Manifest, id: number, ports: DescriptorPorts): Promise<StartDescriptors> {
  const { name, version } = manifest;
  const container = containerId(name, version);
  const sockets = [...(manifest.sockets ?? [])];
  if (sockets.length > mostSockets) {
    throw new TerminalError('StartFailed', `${container} has ${sockets.length} sockets: more than ${mostSockets}`);
  }
  const opened: { variable: string; fd: number; close: () => void }[] = [];
  const close = (): void => opened.forEach((each) => each.close());
  try {
    for (const [socket, settings] of sockets) {
      const fd = openSocket(ports.socketDir, `${container}:${socket}`, settings);
      opened.push({ variable: `NORTHSTAR_SOCKET_${socket}`, fd, close: () => closeSync(fd) });
    }
    const permissions = manifest.console?.permissions;
    const end = permissions === undefined ? null : await ports.console(container, id, permissions);
    if (end !== null) opened.push({ variable: 'NORTHSTAR_CONSOLE', fd: end.fd, close: () => end.close() });
  } catch (error) {
    close();
    sweep(name, ports);
    throw error;
  }
  return {
    ops: opened.map(({ fd }, index) => ({ op: 'descriptor', fd, number: firstNumber + index })),
    environment: new Map(opened.map(({ variable }, index) => [variable, String(firstNumber + index)])),
    close,
  };
}

/**
 * Binds a socket under a name of its own, gives the file its owner and mode, and moves it to its place: what is there is
 * replaced, never followed, and nobody meets a socket that is not yet as it should be. It works for names that are longer
 * than a socket's address, too.
 */
function openSocket(directory: string, name: string, settings: Settings): number {
  if (Buffer.byteLength(name) > longestName) {
    throw new TerminalError('StartFailed', `the socket ${name} has a name of more than ${longestName} bytes`);
  }
  const parent = openSync(directory, O_PATH | constants.O_DIRECTORY);
  const within = `/proc/self/fd/${parent}`;
  const draft = `${within}/${draftPrefix}${randomBytes(6).toString('hex')}`;
  try {
    const fd = bindSocket(settings.type, draft, settings.passcred ?? false);
    try {
      applyOwner(draft, settings);
      renameSync(draft, `${within}/${name}`);
    } catch (error) {
      closeSync(fd);
      unlinkSync(draft);
      throw error;
    }
    return fd;
  } catch (error) {
    throw new Error(`the socket ${name} in ${directory}: ${messageOf(error)}`, { cause: error });
  } finally {
    closeSync(parent);
  }
}

type Settings = NonNullable<Manifest['sockets']> extends ReadonlyMap<string, infer S> ? S : never;

/** The owner first: a change of it takes the set-id bits away (chown(2)). */
function applyOwner(path: string, { uid = 0, gid = 0, mode }: Settings): void {
  const file = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    chownSync(`/proc/self/fd/${file}`, uid, gid);
    chmodSync(`/proc/self/fd/${file}`, mode);
  } finally {
    closeSync(file);
  }
}

const draftPrefix = '.new-';

/** A failure here ends no start and no container: the file stays until the next sweep, and the log says why. */
function sweep(name: string | null, { socketDir, log }: DescriptorPorts): void {
  const ours = name === null ? isOurs : (file: string) => containerName(file) === name;
  try {
    for (const file of readdirSync(socketDir, { withFileTypes: true })) {
      const path = `${socketDir}/${file.name}`;
      if (file.isSocket() && ours(file.name) && isAbandonedSocket(path)) unlinkSync(path);
    }
  } catch (err) {
    log.warn({ directory: socketDir, err }, 'sockets of ended containers cannot be removed');
  }
}

/** name:version:socket, or what a start that was cut short has left. */
function isOurs(file: string): boolean {
  return file.startsWith(draftPrefix) || /^[\w.-]+:\d+\.\d+\.\d+:/.test(file);
}
