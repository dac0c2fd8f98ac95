// Connections of clients to a unix socket, kept as those of containers are: a client notices neither a sleep nor a crash.
import { duplicateForPeek } from '../../native/socket-pair.ts';
import type { Channel } from '../console/server/channel.ts';
import { descriptorOf } from '../console/server/listening.ts';
import type { ClientKeeper } from '../console/server/server.ts';
import { externalIdentity } from '../console/protocol/protocol.ts';
import type { KeptConnections } from './kept-connections.ts';

/** Each takes two of the launcher's descriptors. Those beyond are served as long as this process lives, and keep it awake. */
const most = 128;

const prefix = 'client ';

export function createClientConnections(connections: KeptConnections): ClientKeeper {
  const numbers = [...connections.left.keys()]
    .filter((id) => id.startsWith(prefix))
    .map((id) => id.slice(prefix.length));
  let last = Math.max(0, ...numbers.map(Number));
  let held = 0;

  function hold(channel: Channel): Channel {
    channel.signal.addEventListener('abort', () => (held -= 1));
    return channel;
  }

  return {
    adopt(url, service) {
      const ids = [...connections.left].filter(([, { listener }]) => listener === url).map(([id]) => id);
      held += ids.length;
      return ids.map((id) => hold(connections.resume(id, service)));
    },
    take(socket, who, service) {
      if (held >= most) return null;
      held += 1;
      const fd = duplicateForPeek(descriptorOf(socket));
      // Nothing was read from it yet: this happens in the turn in which it was accepted.
      socket.destroy();
      last += 1;
      const id = `${prefix}${last}`;
      const kept = connections.keep(id, fd, { identity: externalIdentity, ...who });
      return kept.then(
        () => hold(connections.resume(id, service)),
        (error: unknown) => {
          held -= 1;
          throw error;
        },
      );
    },
  };
}
