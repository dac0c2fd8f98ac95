// Notices what happens to the names in one directory (inotify(7) by way of fs.watch), also when the directory itself goes and comes back.
import { statSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';

export interface DirectoryEvents {
  /** The directory is there and watched; everything in it is to be looked at. */
  appeared(): void;
  /** A name in it was made, deleted, renamed or written to. */
  changed(fileName: string): void;
  /** It is not there, or cannot be watched. A missing one is waited for. */
  gone(error: Error): void;
}

/** Watches until `close`. */
export function watchDirectory(path: string, events: DirectoryEvents): { close(): void } {
  let watcher: FSWatcher | null = null;
  let closed = false;
  let toldGone = false;

  function attach(): void {
    watcher?.close();
    if (closed) return;
    try {
      watcher = watchNames(path);
      toldGone = false;
      events.appeared();
    } catch (error) {
      if (!toldGone) events.gone(error as Error);
      toldGone = true;
      if (isMissing(error)) awaitDirectory();
    }
  }

  function watchNames(directory: string): FSWatcher {
    const inode = statSync(directory).ino;
    const names = watch(directory, (_, fileName) => {
      if (fileName === null) events.appeared();
      // An event of the directory itself bears its own name; a file in it may have the same.
      else if (fileName === basename(directory) && !isStill(directory, inode)) attach();
      else events.changed(fileName);
    });
    return names.on('error', attach);
  }

  /** The nearest directory above that exists shows when the missing one, or the next one towards it, appears. */
  function awaitDirectory(): void {
    for (;;) {
      const above = nearestAbove(path);
      try {
        watcher = watch(above, attach).on('error', attach);
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
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function nearestAbove(path: string): string {
  let above = dirname(path);
  while (!isDirectory(above)) above = dirname(above);
  return above;
}

function isStill(path: string, inode: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === inode;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
