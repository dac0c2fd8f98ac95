// What a conversation takes place on: lines and bytes in, messages out, and what is remembered of it.
import type { Socket } from 'node:net';
import type { Share } from '../protocol/memory.ts';
import { createOutbox, type Outbox } from '../protocol/outbox.ts';
import { createReader, socketSource, type Reader } from './reader.ts';

/** How far a conversation is. */
export interface Progress {
  greeted: boolean;
  subscribed: boolean;
  /** The number of the last event that was told. */
  told: number;
  /** The number of the last change of the status that was told; null: it does not watch. */
  watched: number | null;
  /** Something is sent beside the answers that only this process knows of: output, events with their times, an archive. */
  streaming: boolean;
  /** Requests that may come at once, and since when (CLOCK_BOOTTIME in ms); null before the first. */
  pace: { readonly credit: number; readonly at: number } | null;
  /** Bytes that are still to come of a package that an earlier reconciler was installing. */
  readonly left: number | null;
}

/** That of a conversation that begins. */
export function newProgress(): Progress {
  return { greeted: false, subscribed: false, told: 0, watched: null, streaming: false, pace: null, left: null };
}

export interface Channel {
  readonly reader: Reader;
  readonly outbox: Outbox;
  /** Aborted when the other side can hear nothing any more. */
  readonly signal: AbortSignal;
  /** Set before the answer that it comes with. */
  readonly progress: Progress;
  /**
   * Of the request that is read next, by container (name:version), what an earlier reconciler has begun to do, and which run a
   * start asks for. Empty again once it is answered.
   */
  readonly begun: ReadonlyMap<string, number>;
  /** The request that was read last is going to be done: before anything else it is written down that it was received. */
  received(): void;
  /** The request that was read last is allowed, and done for this container from now on. */
  begin(container: string, run: number): void;
  /** The request that was read last is followed by so many bytes of a package. */
  expect(bytes: number): void;
  /** Hangs up when everything is sent. */
  end(): void;
  /** Hangs up. */
  destroy(): void;
}

/** A client's connection; it lives as long as this process. `memory` gives its shares of what all of them may hold. */
export function socketChannel(
  socket: Socket,
  limits: { readonly requestSize: number; readonly unread: number },
  memory: (ended: AbortSignal) => Share,
): Channel {
  const closed = new AbortController();
  socket.on('close', () => closed.abort());
  return {
    reader: createReader(socketSource(socket), limits.requestSize, memory(closed.signal)),
    outbox: createOutbox(socket, limits.unread, memory(closed.signal)),
    signal: closed.signal,
    progress: newProgress(),
    begun: new Map(),
    received: () => undefined,
    begin: () => undefined,
    expect: () => undefined,
    end() {
      socket.end();
      socket.destroySoon();
    },
    destroy: () => void socket.destroy(),
  };
}
