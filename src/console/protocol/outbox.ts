// What is sent on one connection. A response waits for a slow reader; a notification cannot, so it is counted, and a
// reader that leaves too much of it unread is disconnected.
import type { Socket } from 'node:net';
import type { Share } from './memory.ts';

/** The number of the event, or of the change of the status, that a line tells. */
export interface Place {
  readonly event?: number;
  readonly change?: number;
}

export interface Outbox {
  /** Sends the answer to what was read last, and waits until the reader has caught up or is gone. */
  answer(message: unknown): Promise<void>;
  /**
   * The same for a request that changes nothing, with the line as it is (JSON with its newline): it may go along with the answers to
   * those that follow. Null: nothing is to be waited for.
   */
  answerLine(line: string): Promise<void> | null;
  /** Sends a message and waits until the reader has caught up or is gone. */
  send(message: unknown): Promise<void>;
  /** Sends a line (JSON with its newline) beside the responses, after the response under way when held. */
  notify(line: string, place?: Place): void;
  /** Keeps notifications back until `release`: what a request causes is told after its response. */
  hold(): void;
  release(): void;
}

/** `limit`: bytes of notifications that may wait for the reader; `share` is told how many do. */
export function createOutbox(socket: Socket, limit: number, share: Share): Outbox {
  let held: string[] | null = null;
  let unread = 0;

  function write(line: string, bytes: number): void {
    socket.write(line, () => {
      unread -= bytes;
      share.hold(unread);
    });
  }

  /** Answers to requests that came together leave together: one write(2) for all that is made before the next turn. */
  function gather(): void {
    if (socket.writableCorked > 0) return;
    socket.cork();
    process.nextTick(() => socket.uncork());
  }

  async function send(message: unknown): Promise<void> {
    if (!socket.writable) return;
    gather();
    if (!socket.write(`${JSON.stringify(message)}\n`)) await drained(socket);
  }

  return {
    answer: send,
    answerLine(line) {
      if (!socket.writable) return null;
      gather();
      return socket.write(line) ? null : drained(socket);
    },
    send,
    notify(line) {
      if (!socket.writable) return;
      const bytes = Buffer.byteLength(line);
      unread += bytes;
      if (unread > limit || !share.hold(unread))
        socket.destroy(new Error('the client reads its notifications too slowly'));
      else if (held !== null) held.push(line);
      else write(line, bytes);
    },
    hold() {
      held ??= [];
    },
    release() {
      const lines = held ?? [];
      held = null;
      for (const line of lines) write(line, Buffer.byteLength(line));
    },
  };
}

/** Resolves when the reader has caught up, or is gone. */
export async function drained(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}
