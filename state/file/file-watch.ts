// Noticing that a document may have changed, in whatever way it was replaced.
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { FSWatcher } from 'chokidar';
import { wayTo } from './document-file.ts';

/** ms without an event after which a file that is written in place is taken to be at rest. */
export const REST = 50;

export interface FileWatch {
  close(): Promise<void>;
}

/**
 * Calls `changed` whenever the file at `path` may have changed and has come to rest: written in place, renamed over,
 * removed, made again, or reached by another symbolic link than before. Every directory on the way to it is watched, those
 * of links included, and followed when it is replaced. `failed` is told when a directory cannot be watched.
 */
export async function watchFile(
  path: string,
  changed: () => void,
  failed: (error: unknown) => void,
): Promise<FileWatch> {
  const watched = new Map<string, { readonly identity: string; readonly watcher: FSWatcher }>();
  let names = new Set<string>();
  let timer: NodeJS.Timeout | null = null;
  let following: Promise<void> = Promise.resolve();
  let closed = false;

  const stir = (): void => {
    if (closed) return;
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      following = following.then(follow).then(changed, failed);
    }, REST);
  };

  // Looks at the way again after each change of what is watched: a swap may have come between.
  const follow = async (): Promise<void> => {
    while (!closed) {
      const way = await directoriesTo(path);
      names = way.names;
      const gone = [...watched].filter(([directory, { identity }]) => way.directories.get(directory) !== identity);
      for (const [directory, { watcher }] of gone) {
        watched.delete(directory);
        await watcher.close();
      }
      const fresh = [...way.directories].filter(([directory]) => !watched.has(directory));
      if (fresh.length === 0 && gone.length === 0) return;
      await Promise.all(fresh.map(([directory, identity]) => watchDirectory(directory, identity)));
    }
  };

  // One watcher for each directory: what chokidar makes of directories within watched ones does not concern us.
  const watchDirectory = async (directory: string, identity: string): Promise<void> => {
    const watcher = new NameWatcher({ depth: 0, ignoreInitial: true, followSymlinks: false });
    watcher.add(directory);
    watched.set(directory, { identity, watcher });
    watcher.on('error', failed);
    watcher.on('raw', (_event, name) => {
      if (names.has(join(directory, name))) stir();
    });
    await new Promise<void>((resolve) => watcher.once('ready', resolve));
  };

  await follow();
  return {
    async close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      await following;
      await Promise.all([...watched.values()].map(({ watcher }) => watcher.close()));
    },
  };
}

/**
 * Tells of names only. chokidar would list the whole directory, with an lstat(2) of everything in it, again after each event:
 * of a document's directory, and of all those above it, that costs more than what is then done about the event.
 */
class NameWatcher extends FSWatcher {
  override _readdirp(): undefined {
    return undefined;
  }
}

interface Way {
  /** Each directory on the way and which one it is: another may have taken its name. */
  readonly directories: ReadonlyMap<string, string>;
  /** The paths whose events matter: every component of the way. */
  readonly names: Set<string>;
}

async function directoriesTo(path: string): Promise<Way> {
  const { components } = await wayTo(path);
  const directories = new Map<string, string>();
  for (const component of components) {
    const stat = await lstat(component.path).catch(() => null);
    if (stat?.isDirectory() === true) directories.set(component.path, `${stat.dev} ${stat.ino}`);
  }
  return { directories, names: new Set(components.map((component) => component.path)) };
}
