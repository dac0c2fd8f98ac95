// What a request may use of the connection that it came over.
import type { ContainerSession, Lifetime, Runtime } from '../../runtime/runtime.ts';
import type { Feeds } from './feeds.ts';
import type { Permissions } from '../protocol/permissions.ts';
import type { Stretch } from './reader.ts';
import type { Tokens } from './tokens.ts';

/** One connection, as requests see it. */
export interface Session {
  readonly runtime: Runtime;
  readonly feeds: Feeds;
  /** name:version of the container that asks, or `extern:0.0.0`. */
  readonly identity: string;
  readonly tokens: Tokens;
  /** ms */
  readonly tokenValidity: number;
  readonly permissions: Permissions;
  /** How long patches of this listener last when the request does not say. */
  readonly lifetime: Lifetime;
  /** Aborted when the connection ends. */
  readonly signal: AbortSignal;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
  /** Containers whose output is being sent. */
  readonly logs: Set<string>;
  /** The container that this connection is in, one at most. */
  readonly inside: { session: ContainerSession | null; given: number; taken: number };
  /** What an earlier reconciler has begun of this request, by container, and the run that a start asks for. */
  readonly begun: ReadonlyMap<string, number>;
  /** The request is allowed, and done for this container from now on. */
  begin(container: string, run: number): void;
  /** Runs when the response is on its way. */
  after(task: () => void): void;
  /** Sends a notification beside the responses; waits for a slow reader. */
  send(notification: unknown): Promise<void>;
  /** Changes of the status are sent from now on; those up to this number are in the answer. */
  watches(sequence: number): void;
  /** Sends a line beside the responses; a reader that lags too far behind is disconnected. */
  notify(line: string): void;
  /** The raw bytes that follow the request. */
  stretch(size: number): Stretch;
}
