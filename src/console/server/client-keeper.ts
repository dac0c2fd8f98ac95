// Who keeps the connections of clients to a unix socket for the process that comes after this one (src/daemon/client-connections.ts).
import type { Permissions } from '../protocol/permissions.ts';
import type { Channel } from './channel.ts';
import type { Service } from './connection.ts';

/** Whose they are: a listener, by its URL, and what it does about them. */
export interface ClientsOf {
  readonly listener: string;
  readonly service: Service;
  /** What a client may do, asked of its connected socket. */
  granted(socket: number): Permissions;
  /** Called at each connection, before anything is asked; false: it has too many, and this one is hung up. */
  admits(): boolean;
  /** One that is kept is served from now on. */
  serves(channel: Channel): void;
  /** One of those beyond what can be kept: its socket is the listener's from now on. */
  takes(socket: number): void;
}

export interface ClientKeeper {
  /** Goes on with those that an earlier process has left. */
  adopt(clients: ClientsOf): void;
  /**
   * Accepts from now on at a listening socket, which the launcher keeps under this name. Whoever connects is kept from the moment
   * on in which it is accepted. Gives the function that ends it.
   */
  follow(name: string, listening: number, clients: ClientsOf): Promise<() => Promise<void>>;
}
