// A listening socket is reached by its file's name: when somebody deletes that, or puts another in its place, it must be made
// again, since nothing gives a socket its name back.
import { lstatSync, mkdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { watchDirectory } from '../../../state/file/directory-watch.ts';
import { messageOf } from '../../../state/errno.ts';
import { createRetry } from '../../../state/retry.ts';
import type { Stand } from '../../../state/standing.ts';
import type { Log } from '../../logs/log.ts';

export interface SocketFile {
  readonly path: string;
  /** Binds to the path anew; the directory is there. Rejects when that cannot be done now: it is tried again. */
  bind(): Promise<void>;
  readonly log: Log;
  readonly stand: Stand;
}

/** Has the socket bound anew whenever its file is gone, from now on until `close`. */
export function keepSocketFile({ path, bind, log, stand }: SocketFile): { close(): void } {
  const directory = dirname(path);
  let inode = inodeOf(path);
  let binding = false;
  let closed = false;
  const again = createRetry(look);

  function look(): void {
    const now = inodeOf(path);
    if (closed || binding || (now !== null && now === inode)) return;
    binding = true;
    bindAgain()
      .then(
        () => {
          inode = inodeOf(path);
          log.warn({ path }, 'the socket of a console was gone, and is there again');
          again.over();
        },
        (error: unknown) => {
          log.warn({ path, reason: messageOf(error) }, 'the socket of a console is gone and cannot be made again yet');
          again.failed();
        },
      )
      .finally(() => (binding = false));
  }

  async function bindAgain(): Promise<void> {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    await bind();
  }

  const watch = watchDirectory(directory, {
    appeared: look,
    changed: (name) => name === basename(path) && look(),
    gone: look,
    blind: (why) => stand('NotWatched', directory, why),
  });
  return {
    close() {
      closed = true;
      watch.close();
      again.over();
    },
  };
}

/** Null when there is no such file. */
function inodeOf(path: string): number | null {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? null;
}
