// What a test has the reconciler do: listen at a path, have the launcher accept there, and speak by way of what it is sent.
import { closeSync, writeSync } from 'node:fs';
import { receiveDescriptor } from '../../native/descriptor-receiver.ts';
import { createSocketPair } from '../../native/socket-pair.ts';
import { bindListener } from '../../native/unix-socket.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';

export interface AcceptCalls {
  /** Has the launcher keep a socket that listens at the path, under that name. */
  listenAt(path: string): Promise<void>;
  /** Accepts there and says `text`; false: nobody was waiting. With a name it is kept. */
  acceptAt(path: string, name: string | null, text: string): Promise<boolean>;
  /** Says `text` to one that was accepted, by its inherited descriptor. */
  say(fd: number, text: string): void;
}

export function createCalls(launcher: Launcher): AcceptCalls {
  return {
    async listenAt(path) {
      const fd = bindListener(path, 16);
      await launcher.keep(path, fd).finally(() => closeSync(fd));
    },
    async acceptAt(path, name, text) {
      const { ours, theirs } = createSocketPair();
      try {
        if (!(await launcher.accept(path, name, theirs))) return false;
        const fd = receiveDescriptor(ours);
        if (fd === null) throw new Error('no descriptor has come');
        writeSync(fd, text);
        closeSync(fd);
        return true;
      } finally {
        for (const fd of [ours, theirs]) closeSync(fd);
      }
    },
    say: (fd, text) => void writeSync(fd, text),
  };
}
