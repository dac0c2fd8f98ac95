// Noticing that a document may have changed, in whatever way it was replaced.
import { basename, dirname, join } from 'node:path';
import { isMissing } from '../errno.ts';
import { wayTo } from './trust.ts';
import { watchNames } from './names-watch.ts';

/** ms without an event after which a file that is written in place is taken to be at rest. */
export const REST = 50;

export interface FileWatch {
  /** Looks as after an event. */
  look(): void;
  /** Looks at the way: mounts have changed, of which a directory tells nothing. `changed` follows where it is another one now. */
  rewalk(): void;
  close(): Promise<void>;
}

export interface FileEvents {
  /** The file may have changed, and has come to rest. */
  changed(): void;
  /** The kernel does not tell what happens in a directory on the way to it, and why; null = it does again. */
  blind(directory: string, why: string | null): void;
  failed(error: unknown): void;
}

/**
 * Calls `changed` whenever the file at `path` may have changed and has come to rest: written in place, renamed over,
 * removed, made again, or reached by another symbolic link than before. Every directory on the way to it is watched, those
 * of links included, and followed when it is replaced.
 */
export async function watchFile(path: string, events: FileEvents): Promise<FileWatch> {
  const watched = new Map<string, { readonly identity: string; readonly watcher: { close(): void } }>();
  let names = new Set<string>();
  let end: string | null = null;
  let timer: NodeJS.Timeout | null = null;
  let following: Promise<void> = Promise.resolve();
  let closed = false;

  const stir = (): void => {
    if (closed) return;
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      following = following
        .then(follow)
        .then(() => events.changed())
        .catch(events.failed);
    }, REST);
  };

  const rewalk = (): void => {
    following = following
      .then(follow)
      .then((isOther) => isOther && !closed && events.changed())
      .then(() => undefined, events.failed);
  };

  const forget = (directory: string): void => {
    watched.get(directory)?.watcher.close();
    watched.delete(directory);
    events.blind(directory, null);
  };

  // Looks at the way again after each change of what is watched: a swap may have come between.
  const follow = async (): Promise<boolean> => {
    let isOther = false;
    for (;;) {
      if (closed) return isOther;
      const way = await directoriesTo(path);
      isOther ||= way.end !== end;
      end = way.end;
      names = way.whole ? way.names : new Set([...names, ...way.names]);
      const gone = [...watched].filter(([directory, { identity }]) => {
        const now = way.directories.get(directory);
        return now !== identity && (way.whole || now !== undefined);
      });
      for (const [directory] of gone) forget(directory);
      const fresh = [...way.directories].filter(([directory]) => !watched.has(directory));
      if (fresh.length === 0 && gone.length === 0) return isOther;
      isOther = true;
      for (const [directory, identity] of fresh) watchDirectory(directory, identity);
    }
  };

  const namesIn = (directory: string): ReadonlySet<string> =>
    new Set([...names].filter((path) => dirname(path) === directory).map((path) => basename(path)));

  const watchDirectory = (directory: string, identity: string): void => {
    const changed = (name: string): void => {
      if (names.has(join(directory, name))) stir();
    };
    const blind = (why: string | null): void => events.blind(directory, why);
    try {
      watched.set(directory, {
        identity,
        watcher: watchNames(directory, { changed, unknown: stir, blind, names: () => namesIn(directory) }),
      });
    } catch (error) {
      if (!isMissing(error)) throw error; // gone since: the way is looked at again
    }
  };

  await follow();
  return {
    look: stir,
    rewalk,
    async close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      await following;
      for (const directory of watched.keys()) forget(directory);
    },
  };
}

interface Way {
  /** Each directory on the way and which one it is: another may have taken its name. */
  readonly directories: ReadonlyMap<string, string>;
  /** Which file or directory is at its end, as far as it goes. */
  readonly end: string | null;
  /** The paths whose events matter: every component of the way. */
  readonly names: Set<string>;
  /** It could be looked at to its end. */
  readonly whole: boolean;
}

async function directoriesTo(path: string): Promise<Way> {
  const { components, problem } = await wayTo(path);
  const directories = new Map<string, string>();
  let end: string | null = null;
  for (const { path: each, stat } of components) {
    end = stat === null ? null : `${stat.dev} ${stat.ino}`;
    if (end !== null && stat?.isDirectory() === true) directories.set(each, end);
  }
  return { directories, end, names: new Set(components.map((component) => component.path)), whole: problem === null };
}
