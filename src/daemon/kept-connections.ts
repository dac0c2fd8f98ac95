// Console connections that outlive this process: the launcher keeps our end of the socket and, in a file in memory beside
// it, what is remembered of the conversation. Whoever is at the other side notices no reconciler that is started anew.
import { closeSync } from 'node:fs';
import { watchReadable } from '../../native/readable.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';
import type { Channel } from '../console/server/channel.ts';
import { serveConnection, type Service } from '../console/server/connection.ts';
import { keptChannel } from '../console/server/kept-channel.ts';
import { createKeptFile, openKeptFile, type Conversation, type KeptFile } from '../console/server/kept-file.ts';
import type { Log } from '../logs/log.ts';

export interface KeptConnections {
  /** Keeps a socket, which is ours from now on, until it is resumed or abandoned. Rejects with what the launcher says; the socket is closed then. */
  keep(id: string, socket: number, who: Whose): Promise<void>;
  /** The same for a socket that the launcher keeps already, under `socketName(id)`. */
  begin(id: string, socket: number, who: Whose): Promise<void>;
  /** Those of an earlier process, by id; a file without its socket is given up. */
  readonly left: ReadonlyMap<string, Conversation>;
  /** Sockets of which it had written nothing down yet. */
  readonly bare: ReadonlyMap<string, number>;
  /** Goes on with one of them. */
  resume(id: string, service: Service): Channel;
  /** Hangs one of them up. */
  abandon(id: string): void;
  /** A watch of the launcher has fired; whether it was one of these. */
  fired(key: number): boolean;
  /** This process is about to end: the launcher waits in its place for what clients say. */
  handOver(): Promise<void>;
  /** It goes on after all. */
  takeBack(): Promise<void>;
}

type Whose = Pick<Conversation, 'identity' | 'permissions' | 'listener'>;

export interface KeptConnectionsPorts {
  readonly launcher: Pick<Launcher, 'keep' | 'drop' | 'watch' | 'rearm' | 'unwatch'>;
  /** Everything that the launcher has kept, by name. */
  readonly kept: ReadonlyMap<string, number>;
  readonly log: Log;
}

const prefix = 'connection ';
/** Watches of others have smaller keys. */
export const firstConnectionKey = 2 ** 40;

export function createKeptConnections({ launcher, kept, log }: KeptConnectionsPorts): KeptConnections {
  const waiting = new Map<number, () => void>();
  /** Kept, and not served yet. */
  const unserved = new Map<string, { readonly socket: number; readonly file: KeptFile }>();
  const left = new Map<string, Conversation>();
  const bare = new Map<string, number>();
  /** Those that are served, by the key under which the launcher looks whether they are readable. */
  const served = new Map<number, () => Promise<void>>();
  let keys = firstConnectionKey;
  find();

  function find(): void {
    const ids = new Set([...kept.keys()].flatMap((name) => /^connection (.+) (?:socket|file)$/.exec(name)?.[1] ?? []));
    for (const id of ids) {
      const [socket, fd] = [kept.get(socketName(id)), kept.get(fileName(id))];
      if (socket !== undefined && fd !== undefined) {
        const file = openKeptFile(fd);
        unserved.set(id, { socket, file });
        left.set(id, file.conversation);
      } else {
        if (socket !== undefined) bare.set(id, socket);
        if (fd !== undefined) give(fileName(id), fd);
      }
    }
  }

  function give(name: string, fd: number): void {
    closeSync(fd);
    launcher.drop(name).catch((err: unknown) => log.error({ err, name }, 'a descriptor cannot be given up'));
  }

  function serve(id: string, socket: number, file: KeptFile, { listener, memory }: Service): Channel {
    const { identity, permissions, listener: from } = file.conversation;
    const requests = new Set<Promise<void>>();
    /** Keys of the launcher's watches, which see when there is room, and in the place of this process what has come. */
    const [readable, writable] = [keys++, keys++];
    let isWatched = false;
    const watch = watchReadable(socket, () => wake(readable));

    async function request(made: Promise<void>): Promise<void> {
      requests.add(made);
      await made.finally(() => requests.delete(made));
    }

    function ready(which: 'readable' | 'writable'): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      waiting.set(which === 'readable' ? readable : writable, () => resolve(undefined));
      if (which === 'readable') {
        watch.arm();
        return promise;
      }
      const made = isWatched ? launcher.rearm(writable) : launcher.watch(writable, 'writable', socket);
      isWatched = true;
      return request(made).then(() => promise);
    }

    async function handOver(): Promise<void> {
      if (waiting.has(readable)) await request(launcher.watch(readable, 'readable', socket));
    }

    async function release(): Promise<void> {
      served.delete(readable);
      for (const key of [readable, writable]) wake(key);
      // Descriptors stay open until requests that they travel with are answered.
      await Promise.allSettled(requests);
      await Promise.all([readable, writable].map((key) => launcher.unwatch(key)));
      await Promise.all([socketName(id), fileName(id)].map((name) => launcher.drop(name)));
      watch.close();
      closeSync(file.fd);
    }

    const channel = keptChannel({
      socket,
      file,
      limits: listener.limits,
      memory,
      ready,
      ended() {
        release().catch((err: unknown) => log.error({ err, identity }, 'a console connection cannot be given up'));
      },
    });
    served.set(readable, handOver);
    void serveConnection(channel, { identity, permissions, onlyNorthstar: from === null }, listener);
    return channel;
  }

  /** Whether somebody has waited. */
  function wake(key: number): boolean {
    const waits = waiting.get(key);
    waiting.delete(key);
    waits?.();
    return waits !== undefined;
  }

  function taken(id: string): { socket: number; file: KeptFile } {
    const found = unserved.get(id);
    if (found === undefined) throw new Error(`no connection ${id} was left`);
    unserved.delete(id);
    left.delete(id);
    return found;
  }

  async function begin(id: string, socket: number, who: Whose, keepSocket: () => Promise<void>): Promise<void> {
    const file = createKeptFile(who);
    bare.delete(id);
    try {
      await Promise.all([keepSocket(), launcher.keep(fileName(id), file.fd)]);
    } catch (error) {
      for (const fd of [socket, file.fd]) closeSync(fd);
      throw error;
    }
    unserved.set(id, { socket, file });
  }

  return {
    left,
    bare,
    keep: (id, socket, who) => begin(id, socket, who, () => launcher.keep(socketName(id), socket)),
    begin: (id, socket, who) => begin(id, socket, who, () => Promise.resolve()),
    resume(id, service) {
      const { socket, file } = taken(id);
      return serve(id, socket, file, service);
    },
    abandon(id) {
      const alone = bare.get(id);
      if (alone !== undefined) {
        bare.delete(id);
        give(socketName(id), alone);
        return;
      }
      const { socket, file } = taken(id);
      give(socketName(id), socket);
      give(fileName(id), file.fd);
    },
    fired(key) {
      if (key < firstConnectionKey) return false;
      wake(key);
      return true;
    },
    async handOver() {
      await Promise.all([...served.values()].map((hand) => hand()));
    },
    async takeBack() {
      await Promise.all([...served.keys()].map((key) => launcher.unwatch(key)));
    },
  };
}

/** What the launcher keeps the socket of a connection under. */
export function socketName(id: string): string {
  return `${prefix}${id} socket`;
}

function fileName(id: string): string {
  return `${prefix}${id} file`;
}
