// When a stream socket has something to read, told by Node's own loop, which reads nothing of it: libuv asks for a place to read to,
// is given one without room, and says that there is none. Its uv_poll(3) is not to be had from JavaScript.
import { Socket } from 'node:net';

/** What node:net has of a socket below its streams. */
interface Handle {
  onread: () => void;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  unref(): void;
}

export interface ReadableWatch {
  /** Has `readable` called, in a turn of its own, as soon and as long as there is something to read, or the end. */
  arm(): void;
  /** Closes the descriptor. */
  close(): void;
}

/** The descriptor is the watch's from now on. `readable` gives whether it is to be called again; it keeps no process running. */
export function watchReadable(fd: number, readable: () => boolean): ReadableWatch {
  const socket = new Socket({ fd, readable: false, writable: false });
  const handle = (socket as unknown as { readonly _handle: Handle })._handle;
  let armed = false;
  handle.useUserBuffer(Buffer.alloc(0));
  handle.onread = () => {
    if (!armed || readable()) return;
    armed = false;
    handle.readStop();
  };
  handle.unref();
  return {
    arm() {
      if (armed) return;
      armed = true;
      handle.readStart();
    },
    close() {
      armed = false;
      socket.destroy();
    },
  };
}
