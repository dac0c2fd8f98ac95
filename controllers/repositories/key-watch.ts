// Keys that cannot be used: a file is missing, or others than root may change one or the way to it. What happens to these files
// and directories is watched until they can be.
import { createBlindness } from '../../state/file/blindness.ts';
import { watchFile, type FileWatch } from '../../state/file/file-watch.ts';

export interface KeyWatch {
  /** From now on whatever happens to one of the paths is told, and that once when it may have happened before. */
  begin(): void;
  /** They can be used: nothing is watched any more. */
  over(): void;
}

/** Nothing is watched before `begin`. */
export function createKeyWatch(
  paths: readonly string[],
  {
    changed,
    blind,
    failed,
  }: {
    readonly changed: () => void;
    /** The kernel does not tell of them, and why; null: it does again. */
    readonly blind: (why: string | null) => void;
    readonly failed: (error: unknown) => void;
  },
): KeyWatch {
  let watches: readonly Promise<FileWatch>[] | null = null;
  return {
    begin() {
      if (watches !== null) return;
      const untold = createBlindness(blind);
      watches = paths.map((path) => {
        const told = (directory: string, why: string | null): void => untold(`${path} ${directory}`, why);
        return watchFile(path, { changed, blind: told, failed });
      });
      Promise.all(watches).then(changed, failed);
    },
    over() {
      for (const watch of watches ?? []) watch.then((each) => each.close()).catch(failed);
      watches = null;
    },
  };
}
