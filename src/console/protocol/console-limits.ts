// What clients of a console may use, and how much of it when nobody says.

/** What one connection, and one listener, may use. */
export interface Limits {
  /** Requests per second, the connect counted; more are delayed. */
  readonly requestsPerSecond: number;
  /** Bytes of one message. */
  readonly requestSize: number;
  /** Bytes of one package. */
  readonly installSize: number;
  /** ms of silence within a package. */
  readonly installStall: number;
  /** ms until the first message. */
  readonly connectTimeout: number;
  /** Bytes of notifications that may wait for a slow reader. */
  readonly unread: number;
  /** Bytes that all connections together may hold, of unfinished messages and of what is not read. */
  readonly memory: number;
  /** Connections at once. */
  readonly connections: number;
  /** ms that a token is good for. */
  readonly tokenValidity: number;
}

/** Northstar's limits, and ours where it has none. */
export const defaultLimits: Limits = {
  requestsPerSecond: 1000,
  requestSize: 1024 * 1024,
  installSize: 256 * 1024 * 1024,
  installStall: 10_000,
  connectTimeout: 10_000,
  unread: 1024 * 1024,
  memory: 64 * 1024 * 1024,
  connections: 1024,
  tokenValidity: 60_000,
};
