// The consoles of containers: a socket pair for each start that asks for one. Our end is a kept connection, so that the
// application never notices a reconciler that is started anew.
import { closeSync } from 'node:fs';
import type { ConsoleEnd, Permissions } from '../../controllers/sandbox/start-descriptors.ts';
import { createSocketPair } from '../../native/socket-pair.ts';
import { permissions as northstarPermissions } from '../../state/names.ts';
import type { Channel } from '../console/server/channel.ts';
import type { Service } from '../console/server/connection.ts';
import type { KeptConnections } from './kept-connections.ts';

export interface ContainerConsoles {
  /** A console for an attempt of a container (name:version): its application's end. */
  open(container: string, attempt: number, permissions: Permissions): Promise<ConsoleEnd>;
  /** Goes on with those that an earlier reconciler has left, and gives up those of attempts that are not alive. */
  adopt(stateOf: (attempt: number) => 'running' | 'starting' | 'over'): void;
  /** The attempt is seen to run: what its application says is answered from now on. */
  began(attempt: number): void;
  /** The attempt has come to its end. */
  ended(attempt: number): void;
}

const prefix = 'attempt ';

/** `service`: what all of them share; asked for when the first one is served. */
export function createContainerConsoles(connections: KeptConnections, service: () => Service): ContainerConsoles {
  const channels = new Map<number, Channel>();
  /** Of applications that are not known to run yet: about themselves they would be told what is not true. */
  const early = new Set<number>();

  function serve(attempt: number): void {
    const channel = connections.resume(idOf(attempt), service());
    channels.set(attempt, channel);
    channel.signal.addEventListener('abort', () => channels.delete(attempt));
  }

  return {
    async open(container, attempt, asked) {
      const { ours, theirs } = createSocketPair();
      const permissions = asked === 'full' ? northstarPermissions : asked;
      try {
        await connections.keep(idOf(attempt), ours, { identity: container, permissions, listener: null });
      } catch (error) {
        closeSync(theirs);
        throw error;
      }
      early.add(attempt);
      return { fd: theirs, close: () => closeSync(theirs) };
    },
    adopt(stateOf) {
      for (const id of [...connections.bare.keys()]) if (id.startsWith(prefix)) connections.abandon(id);
      for (const [id, { listener }] of [...connections.left]) {
        if (listener !== null) continue;
        const attempt = Number(id.slice(prefix.length));
        const state = stateOf(attempt);
        if (state === 'running') serve(attempt);
        else if (state === 'starting') early.add(attempt);
        else connections.abandon(id);
      }
    },
    began(attempt) {
      if (early.delete(attempt)) serve(attempt);
    },
    ended(attempt) {
      if (early.delete(attempt)) connections.abandon(idOf(attempt));
      else channels.get(attempt)?.destroy();
    },
  };
}

function idOf(attempt: number): string {
  return `${prefix}${attempt}`;
}
