// Notices what happens to the names in one directory, also when another directory, a link or a mount takes its place, and when
// it goes and comes back.
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { isMissing, messageOf } from '../errno.ts';
import { createBlindness } from './blindness.ts';
import { watchFile, type FileWatch } from './file-watch.ts';
import { watchNames } from './names-watch.ts';

export interface DirectoryEvents {
  /** The directory is there and watched, or is another one now; everything in it is to be looked at. */
  appeared(): void;
  /** A name in it was made, deleted, renamed or written to. */
  changed(fileName: string): void;
  /** It is not there, and is waited for. */
  gone(error: Error): void;
  /** The kernel does not tell what happens there or on the way there, and why; null: it does again. */
  blind(why: string | null): void;
}

export interface DirectoryWatch {
  /** Looks whether the path leads to another directory now: mounts have changed, of which a directory tells nothing. */
  look(): void;
  close(): void;
}

/** Watches until `close`. One that is deleted while something of it is used tells nothing itself: every directory above it is watched, too. */
export function watchDirectory(path: string, events: DirectoryEvents): DirectoryWatch {
  const blind = createBlindness(events.blind);
  let content: { close(): void } | null = null;
  let identity: string | null = null;
  let closed = false;
  let toldGone = false;

  /** Gives whether it is another one than before. */
  function look(): boolean {
    if (closed) return false;
    const now = identityOf(path);
    if (now === 'unknown' || (now !== null && now === identity && content !== null)) return false;
    content?.close();
    content = null;
    identity = now;
    try {
      content = watchContent();
    } catch (error) {
      if (!toldGone) events.gone(error as Error);
      toldGone = true;
      return true;
    }
    toldGone = false;
    events.appeared();
    return true;
  }

  /** Throws when it is not there. */
  function watchContent(): { close(): void } {
    return watchNames(path, {
      changed(fileName) {
        // An event of the directory itself bears its own name; a file in it may have the same.
        if (fileName !== basename(path) || !look()) events.changed(fileName);
      },
      unknown() {
        if (!look()) events.appeared();
      },
      blind: (why) => blind(path, why),
    });
  }

  look();
  const way = watchFile(path, {
    changed: () => void look(),
    blind: (directory, why) => blind(`the way ${directory}`, why),
    failed: (error) => blind('the way', messageOf(error)),
  });
  const withWay = (use: (watch: FileWatch) => unknown): void => {
    way.then(use).catch((error: unknown) => blind('the way', messageOf(error)));
  };
  // It may have become another one before the way was watched.
  withWay(look);
  return {
    look() {
      look();
      withWay((watch) => watch.rewalk());
    },
    close() {
      closed = true;
      content?.close();
      withWay((watch) => watch.close());
    },
  };
}

/** Which directory a path leads to; null: to none. One that cannot be looked at now may be any. */
function identityOf(path: string): string | null {
  try {
    const { dev, ino } = statSync(path);
    return `${dev} ${ino}`;
  } catch (error) {
    return isMissing(error) ? null : 'unknown';
  }
}
