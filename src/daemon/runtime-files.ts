// What lies in runDir is needed by the next reconciler, the next launcher of this boot, and by mounts: when somebody deletes
// it, it is made again from what is known here.
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { watchDirectory } from '../../state/file/directory-watch.ts';
import { draftOf } from '../../state/file/write-file.ts';
import { messageOf } from '../../state/errno.ts';
import { createRetry } from '../../state/retry.ts';
import type { Stand } from '../../state/standing.ts';
import type { Log } from '../logs/log.ts';

export interface KeptDirectory {
  readonly path: string;
  /** 0700 when it is left out. */
  readonly mode?: number;
  /** Makes again what is missing of it: what had this name, or (null) anything. */
  restore(name: string | null): Promise<void> | void;
}

export interface RuntimeFilesPorts {
  readonly log: Log;
  readonly stand: Stand;
}

/** Has what is deleted from these directories made again, from now on until `close`. */
export function keepRuntimeFiles(
  directories: readonly KeptDirectory[],
  { log, stand }: RuntimeFilesPorts,
): { close(): void } {
  const all = directories.map(({ path, mode = 0o700, restore }) => {
    const again = createRetry(() => look(null));
    function look(name: string | null): void {
      // What is written beside a file and takes its place is nobody's.
      if (name !== null && (name === draftOf(basename(name, '.new')) || existsSync(join(path, name)))) return;
      restoreNow(name).then(again.over, (error: unknown) => {
        log.warn({ directory: path, reason: messageOf(error) }, 'what was deleted of it cannot be made again yet');
        again.failed();
      });
    }
    async function restoreNow(name: string | null): Promise<void> {
      mkdirSync(path, { recursive: true, mode });
      await restore(name);
    }
    const watch = watchDirectory(path, {
      appeared: () => look(null),
      changed: look,
      gone: () => look(null),
      blind: (why) => stand('NotWatched', path, why),
    });
    return { watch, again };
  });
  return {
    close() {
      for (const { watch, again } of all) {
        watch.close();
        again.over();
      }
    },
  };
}
