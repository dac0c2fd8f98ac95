// Sending frames with descriptors over a UNIX stream socket (unix(7), cmsg(3)), without ever waiting.
import type { Socket } from 'node:net';
import { declare, SyscallError } from '../libc.ts';
import { createMessageHeader } from '../message-header.ts';
import { FRAME_FDS } from './wire.ts';

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const sendmsg = declare('sendmsg', 'long', ['int', 'void *', 'int']);

/** Sends bytes, with descriptors alongside the first one. Gives how many bytes went: 0 when the socket has no room. */
type Send = (bytes: Uint8Array, fds: readonly number[]) => number;

function createSend(socket: number): Send {
  const header = createMessageHeader(FRAME_FDS);
  return (bytes, fds) => {
    header.setBytes(bytes);
    header.setDescriptors(fds);
    try {
      return sendmsg('the launcher', socket, header.memory, MSG_DONTWAIT | MSG_NOSIGNAL);
    } catch (error) {
      if (error instanceof SyscallError && error.code === 'EAGAIN') return 0;
      throw error;
    }
  };
}

/** ms that a frame may be held for the next one. */
const HELD = 2;

export interface FrameSender {
  send(bytes: Uint8Array, fds: readonly number[]): void;
  /** The same for a frame without descriptors that need not wake the other side by itself: it goes along with the next. */
  hold(bytes: Uint8Array): void;
  /** The same for one that goes along with what is sent before anything else is done, as a rule; else by itself then. */
  join(bytes: Uint8Array): void;
}

/**
 * Sends frames in order over `socket`, whose descriptor is `fd`. A frame's descriptors must stay open until it was
 * answered. What it gives throws SyscallError when the other side is gone or a descriptor is bad; `failed` hears of the
 * same when the frame had to wait.
 *
 * A frame that the socket has no room for waits, and all later ones behind it. Node writes then: bytes without
 * descriptors need nothing that net.Socket lacks, and its callback comes when the kernel has taken them. So the rest of a
 * frame that went in part (its descriptors went with its first byte) is left to it. A frame with descriptors of which
 * nothing went cannot be: `filler`, a frame without effect, is written in its place, to learn when there is room again.
 * Nothing else is sent meanwhile, so frames never interleave.
 */
export function createFrameSender(
  fd: number,
  socket: Socket,
  filler: Uint8Array,
  failed: (error: Error) => void,
): FrameSender {
  const write = createSend(fd);
  const queue: { bytes: Uint8Array; fds: readonly number[] }[] = [];
  let waiting = false;

  function wait(bytes: Uint8Array): void {
    waiting = true;
    socket.write(bytes, (error) => {
      waiting = false;
      if (error) failed(error);
      else drain();
    });
  }

  function drain(): void {
    try {
      for (let next = queue.shift(); next; next = waiting ? undefined : queue.shift()) transmit(next.bytes, next.fds);
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  function transmit(bytes: Uint8Array, fds: readonly number[]): void {
    const sent = write(bytes, fds);
    if (sent === bytes.length) return;
    if (sent > 0 || fds.length === 0) {
      wait(bytes.subarray(sent));
    } else {
      queue.unshift({ bytes, fds });
      wait(filler);
    }
  }

  /** Frames without descriptors that go out with the next one. */
  let held: Uint8Array[] = [];

  function send(bytes: Uint8Array, fds: readonly number[]): void {
    const whole = held.length === 0 ? bytes : Buffer.concat([...held, bytes]);
    held = [];
    if (waiting) queue.push({ bytes: whole, fds });
    else transmit(whole, fds);
  }

  function release(): void {
    if (held.length === 0) return;
    try {
      send(new Uint8Array(), []);
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  return {
    send,
    hold(bytes) {
      if (held.length === 0) setTimeout(release, HELD);
      held.push(bytes);
    },
    join(bytes) {
      queueMicrotask(release);
      held.push(bytes);
    },
  };
}
