// What a test has the reconciler do: have directories locked, by their paths.
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Launcher } from '../../native/wire/launcher-interface.ts';

export interface LockCalls {
  /** Makes the directory, and has it locked with its note. */
  lockPath(path: string): Promise<void>;
}

export function createCalls(launcher: Launcher): LockCalls {
  return {
    async lockPath(path) {
      mkdirSync(path, { recursive: true });
      const [fd, note] = [
        openSync(path, constants.O_RDONLY | constants.O_DIRECTORY),
        openSync(join(path, '.lock'), constants.O_RDWR | constants.O_CREAT),
      ];
      try {
        await launcher.lock(path, fd, note);
      } finally {
        closeSync(fd);
        closeSync(note);
      }
    },
  };
}
