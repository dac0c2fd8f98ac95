// What happens to the names in one directory (inotify(7) by way of fs.watch). Where the kernel cannot tell, because its limits
// (max_user_instances, max_user_watches) are used up, a slow timer has everything looked at, until the kernel can.
import { watch, type FSWatcher } from 'node:fs';
import { isMissing, messageOf } from '../errno.ts';
import { monotonic } from '../monotonic.ts';

export interface NameEvents {
  /** That name was made, deleted, renamed or written to; the directory's own name, when that happened to itself. */
  changed(name: string): void;
  /** The names that matter, where not all of them do. */
  readonly names?: () => ReadonlySet<string>;
  /** Anything may have happened, the directory's end included: all of it is to be looked at. */
  unknown(): void;
  /** The kernel does not tell, and why: `unknown` is called every ten seconds. Null: from now on it does again. */
  blind(why: string | null): void;
}

/** ms between two looks where the kernel does not tell, and between two tries to have it tell. */
export const BLIND_LOOK = 10_000;

/**
 * fs.watch asks the kernel for everything in a directory. Where others write in it without end, of which nothing matters, it is
 * not listened to for a while after so many events within that time (ms), and then looked at.
 */
const BUSY = { events: 500, pause: 1000 } as const;

/** A directory that is watched, and the names in it that matter; null: all. */
export interface WatchedNames {
  readonly directory: string;
  readonly names: ReadonlySet<string> | null;
}

const watched = new Set<{ readonly directory: string; readonly names: () => ReadonlySet<string> | null }>();

/** Everything that is watched now: the kernel's own list, by descriptor of libuv, tells no paths. */
export function watchedNames(): WatchedNames[] {
  return [...watched].map(({ directory, names }) => ({ directory, names: names() }));
}

/** Watches until `close`. Throws ENOENT or ENOTDIR when there is no such directory; of everything else `blind` is told. */
export function watchNames(directory: string, events: NameEvents): { close(): void } {
  let watcher: FSWatcher | null = null;
  let timer: NodeJS.Timeout | null = null;
  let closed = false;
  let others = 0;
  let since = 0;

  function attach(): void {
    const names = watch(directory, (_, name) => {
      if (closed || watcher !== names) return;
      if (name === null) events.unknown();
      else if (events.names?.().has(name) === false) pass();
      else events.changed(name);
    });
    watcher = names.on('error', (error) => {
      if (closed || watcher !== names) return;
      names.close();
      lose(error);
    });
  }

  /** Something has happened that does not matter. */
  function pass(): void {
    const now = monotonic();
    if (now - since > BUSY.pause) [others, since] = [0, now];
    others += 1;
    if (others < BUSY.events) return;
    watcher?.close();
    watcher = null;
    // It keeps nobody awake: who sleeps watches the names by themselves.
    timer = setTimeout(look, BUSY.pause).unref();
  }

  function lose(error: unknown): void {
    watcher = null;
    events.blind(`${messageOf(error)}; it is looked at every ${BLIND_LOOK / 1000} s instead`);
    timer = setTimeout(look, BLIND_LOOK);
  }

  /** First the watch, then the look: what happens from here on is told. */
  function look(): void {
    timer = null;
    try {
      attach();
      events.blind(null);
    } catch (error) {
      // A directory that has gone is no fault of the watch: whoever looks now sees that, and closes this one.
      if (isMissing(error)) events.blind(null);
      else lose(error);
    }
    events.unknown();
  }

  try {
    attach();
  } catch (error) {
    if (isMissing(error)) throw error;
    lose(error);
  }
  const own = { directory, names: () => events.names?.() ?? null };
  watched.add(own);
  return {
    close() {
      closed = true;
      watched.delete(own);
      watcher?.close();
      if (timer !== null) clearTimeout(timer);
    },
  };
}
