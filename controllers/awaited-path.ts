// Something on the host that is missing is waited for, by its path: the kernel tells of every directory on the way there
// (inotify(7)), and where it cannot, a slow timer looks.
import { createBlindness } from '../state/file/blindness.ts';
import { watchFile } from '../state/file/file-watch.ts';

export interface AwaitedPath {
  /** Looks as after an event of the path. */
  look(): void;
  close(): void;
}

/** What is awaited of a path, and who is told that the kernel does not tell of it, and why; null: it does again. */
export interface AwaitedPorts {
  readonly isThere: () => boolean;
  readonly there: () => void;
  readonly blind: (path: string, why: string | null) => void;
  readonly failed: (error: unknown) => void;
}

/** Calls `there`, once, when `isThere` holds: now, or after whatever happens to the path or on the way to it. */
export function awaitPath(path: string, { isThere, there, blind, failed }: AwaitedPorts): AwaitedPath {
  let over = false;
  const look = (): void => {
    if (over) return;
    try {
      if (!isThere()) return;
    } catch (error) {
      failed(error);
      return;
    }
    close();
    there();
  };
  const watch = watchFile(path, { changed: look, blind: createBlindness((why) => blind(path, why)), failed });
  const close = (): void => {
    if (over) return;
    over = true;
    watch.then((each) => each.close()).catch(failed);
  };
  // It may have come before the watch did.
  watch.then(look).catch(failed);
  return { look, close };
}
