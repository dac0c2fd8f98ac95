// A simulated disk, or runDir, with the generations on it: it takes its time, is full for a while, and is emptied by others.
import type { GenerationDirectory } from '../../state/document/generation-directory.ts';
import type { Random } from './random.ts';
import type { Time } from './time.ts';

export interface SimulatedDisk {
  full: boolean;
  /** Everything on it is gone. */
  empty(): void;
  /** As one process sees it: nothing that it has begun happens once `alive` says no. */
  directory(alive: () => boolean): GenerationDirectory;
}

export function createDisk(time: Time, random: Random): SimulatedDisk {
  const files = new Map<string, string>();
  const disk: SimulatedDisk = {
    full: false,
    empty: () => files.clear(),
    directory(alive) {
      const taking = async (): Promise<void> => {
        await time.sleep(random.pick([0, 0.1, 5]));
        if (!alive()) await new Promise(() => undefined);
      };
      const writing = async (): Promise<void> => {
        await taking();
        if (disk.full) throw Object.assign(new Error('ENOSPC: the disk is full'), { code: 'ENOSPC' });
      };
      return {
        path: '/simulated',
        async names() {
          await taking();
          return [...files.keys()];
        },
        async read(name) {
          await taking();
          return textIn(files, name);
        },
        async size(name) {
          await taking();
          const text = files.get(name);
          return text === undefined ? null : Buffer.byteLength(text);
        },
        async prepare(name, text) {
          await writing();
          return {
            async commit() {
              await writing();
              files.set(name, text);
            },
            discard: taking,
          };
        },
        async rename(from, to) {
          await taking();
          moveIn(files, from, to);
        },
        async remove(name) {
          await taking();
          files.delete(name);
        },
        // A disk that is full says so when it is written to.
        refuses: () => taking().then(() => null),
      };
    },
  };
  return disk;
}

/** A file that is there. Throws ENOENT. */
export function textIn(files: ReadonlyMap<string, string>, name: string): string {
  const text = files.get(name);
  if (text === undefined) throw Object.assign(new Error(`ENOENT: ${name}`), { code: 'ENOENT' });
  return text;
}

/** Gives it another name. Throws ENOENT. */
export function moveIn(files: Map<string, string>, from: string, to: string): void {
  files.set(to, textIn(files, from));
  files.delete(from);
}
