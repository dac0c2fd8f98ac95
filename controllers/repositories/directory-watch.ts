// Notices what happens to the names in one directory, also when the directory itself goes and comes back.
import { statSync } from 'node:fs';
import { basename, dirname, relative, sep } from 'node:path';
import { isMissing } from '../../state/errno.ts';
import { watchNames } from '../../state/file/names-watch.ts';

export interface DirectoryEvents {
  /** The directory is there and watched, or is another one now; everything in it is to be looked at. */
  appeared(): void;
  /** A name in it was made, deleted, renamed or written to. */
  changed(fileName: string): void;
  /** It is not there, and is waited for. */
  gone(error: Error): void;
  /** The kernel does not tell what happens there, and why; null: it does again. */
  blind(why: string | null): void;
}

/** Watches until `close`. */
export function watchDirectory(path: string, events: DirectoryEvents): { close(): void } {
  let watcher: { close(): void } | null = null;
  let closed = false;
  let toldGone = false;

  function attach(): void {
    watcher?.close();
    watcher = null;
    if (closed) return;
    try {
      watcher = watchIt();
      toldGone = false;
      events.appeared();
    } catch (error) {
      if (!toldGone) events.gone(error as Error);
      toldGone = true;
      awaitDirectory();
    }
  }

  /** Throws when it is not there. */
  function watchIt(): { close(): void } {
    const inode = inodeOf(path);
    return watchNames(path, {
      changed(fileName) {
        // An event of the directory itself bears its own name; a file in it may have the same.
        if (fileName === basename(path) && isOther(path, inode)) attach();
        else events.changed(fileName);
      },
      unknown: () => (isOther(path, inode) ? attach() : events.appeared()),
      blind: (why) => events.blind(why),
    });
  }

  /** The nearest directory above that exists shows when the missing one, or the next one towards it, appears. */
  function awaitDirectory(): void {
    for (;;) {
      const above = nearestAbove(path);
      try {
        const next = relative(above, path).split(sep, 1)[0] ?? '';
        const names = (): ReadonlySet<string> => new Set([next]);
        watcher = watchNames(above, { names, changed: attach, unknown: attach, blind: (why) => events.blind(why) });
      } catch (error) {
        if (isMissing(error)) continue; // it has gone since; there is one above it
        throw error;
      }
      // The next one may have appeared before the watch did, and have got all its content by now.
      if (nearestAbove(`${path}/any`) === above) return;
      watcher.close();
      if (isDirectory(path)) {
        attach();
        return;
      }
    }
  }

  attach();
  return {
    close() {
      closed = true;
      watcher?.close();
    },
  };
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    // One that cannot be looked at now is there as far as anybody knows.
    return !isMissing(error);
  }
}

function nearestAbove(path: string): string {
  let above = dirname(path);
  while (!isDirectory(above)) above = dirname(above);
  return above;
}

/** Whether the path leads to another directory than before, or to none. One that cannot be looked at now is the same. */
function isOther(path: string, before: number | null): boolean {
  try {
    return statSync(path).ino !== before;
  } catch (error) {
    return isMissing(error);
  }
}

function inodeOf(path: string): number | null {
  try {
    return statSync(path).ino;
  } catch {
    // The watch says why, or it is looked at again by the next event.
    return null;
  }
}
