// Connections of clients to a unix socket, kept as those of containers are, and from the moment on in which they are accepted, which
// is the launcher's to do: a client notices neither a sleep nor a crash nor another runtime, whenever it comes.
import { closeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { receiveDescriptor } from '../../native/descriptor-receiver.ts';
import { createSocketPair, setPeeked } from '../../native/socket-pair.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';
import type { ClientKeeper, ClientsOf } from '../console/server/client-keeper.ts';
import type { Channel } from '../console/server/channel.ts';
import { externalIdentity } from '../console/protocol/protocol.ts';
import type { Log } from '../logs/log.ts';
import { socketName, type KeptConnections } from './kept-connections.ts';

/** Each takes two of the launcher's descriptors. Those beyond are served as long as this process lives, and keep it awake. */
const most = 128;

/** `client NUMBER URL`, the URL being the listener's. */
const prefix = 'client ';

/** Watches of listening sockets; others have smaller keys, or larger ones (sleep.ts). */
export const firstListenerKey = 2 ** 41;

/** ms before another try when a connection cannot be taken, as without a descriptor that is free. */
const pause = 1000;

export interface ClientConnections extends ClientKeeper {
  /** A watch of the launcher has fired; whether it was one of these. */
  fired(key: number): boolean;
  /** Hangs up what is left of listeners that there are no more. */
  abandonRest(): void;
}

type Pair = ReturnType<typeof createSocketPair>;

export interface ClientConnectionsPorts {
  readonly launcher: Pick<Launcher, 'accept' | 'drop' | 'watch' | 'rearm' | 'unwatch'>;
  readonly connections: KeptConnections;
  readonly log: Log;
}

export function createClientConnections({ launcher, connections, log }: ClientConnectionsPorts): ClientConnections {
  const leftOnes = (): string[] =>
    [...connections.left.keys(), ...connections.bare.keys()].filter((id) => id.startsWith(prefix));
  let last = Math.max(0, ...leftOnes().map((id) => Number.parseInt(id.slice(prefix.length), 10)));
  let held = 0;
  const rings = new Map<number, () => void>();
  let keys = firstListenerKey;

  function serve(id: string, { service, serves }: ClientsOf): void {
    const channel: Channel = connections.resume(id, service);
    channel.signal.addEventListener('abort', () => (held -= 1));
    serves(channel);
  }

  /** One that is accepted, and kept under this id. */
  async function begin(id: string, socket: number, clients: ClientsOf): Promise<void> {
    const { listener } = clients;
    held += 1;
    try {
      setPeeked(socket, 0);
      const permissions = clients.granted(socket);
      await connections.begin(id, socket, { identity: externalIdentity, permissions, listener });
    } catch (err) {
      held -= 1;
      log.error({ err }, 'a console connection cannot be kept');
      return;
    }
    serve(id, clients);
  }

  /** Takes a connection that waits. */
  async function acceptOne(name: string, { ours, theirs }: Pair, clients: ClientsOf): Promise<void> {
    const isAdmitted = clients.admits();
    last += 1;
    const id = isAdmitted && held < most ? `${prefix}${last} ${clients.listener}` : null;
    if (!(await launcher.accept(name, id === null ? null : socketName(id), theirs))) return;
    const socket = receiveDescriptor(ours);
    if (socket === null) {
      if (id !== null) await launcher.drop(socketName(id));
      throw new Error('it was accepted, and this process has no descriptor left for it');
    }
    if (id !== null) void begin(id, socket, clients);
    else if (isAdmitted) clients.takes(socket);
    else closeSync(socket);
  }

  return {
    adopt(clients) {
      const { listener } = clients;
      for (const [id, conversation] of [...connections.left]) {
        if (conversation.listener !== listener) continue;
        held += 1;
        serve(id, clients);
      }
      for (const [id, socket] of [...connections.bare]) {
        if (id.startsWith(prefix) && id.endsWith(` ${listener}`)) void begin(id, socket, clients);
      }
    },
    async follow(name, listening, clients) {
      const key = keys++;
      const pair = createSocketPair();
      let isOver = false;

      async function ring(): Promise<void> {
        try {
          await acceptOne(name, pair, clients);
        } catch (err) {
          log.error({ err, listen: clients.listener }, 'a console connection cannot be taken');
          await delay(pause, undefined, { ref: false });
        }
        // It rings at once when another one waits.
        if (!isOver) await launcher.rearm(key);
      }

      rings.set(key, () => {
        ring().catch((err: unknown) => log.error({ err }, 'a console is not listened at any more'));
      });
      await launcher.watch(key, 'readable', listening);
      return async () => {
        isOver = true;
        rings.delete(key);
        await launcher.unwatch(key);
        for (const fd of [pair.ours, pair.theirs]) closeSync(fd);
      };
    },
    fired(key) {
      const ring = rings.get(key);
      ring?.();
      return ring !== undefined;
    },
    abandonRest() {
      for (const id of leftOnes()) connections.abandon(id);
    },
  };
}
