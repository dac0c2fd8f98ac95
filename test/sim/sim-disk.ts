// A simulated disk, or runDir, with the generations on it: it takes its time, is full for a while, and is emptied by others.
import type { Generation, GenerationFiles, Stored } from '../../state/document/generation-files.ts';
import type { Locked } from '../../state/store.ts';
import type { Random } from './random.ts';
import type { Time } from './time.ts';

export interface SimulatedDisk {
  full: boolean;
  /** Everything on it is gone. */
  empty(): void;
  /** As one process sees it: nothing that it has begun happens once `alive` says no. */
  files(alive: () => boolean): GenerationFiles;
}

export function createDisk(time: Time, random: Random): SimulatedDisk {
  const stored = new Map<number, Generation>();
  const locks = new Map<number, ReadonlyMap<string, Locked>>();

  const disk: SimulatedDisk = {
    full: false,
    empty() {
      stored.clear();
      locks.clear();
    },
    files(alive) {
      const taking = async (): Promise<void> => {
        await time.sleep(random.pick([0, 0.1, 5]));
        if (!alive()) await new Promise(() => undefined);
      };
      const writing = async (): Promise<void> => {
        await taking();
        if (disk.full) throw Object.assign(new Error('ENOSPC: the disk is full'), { code: 'ENOSPC' });
      };
      const listed = (): Stored[] =>
        [...stored.values()]
          .map(({ generation, kind }) => ({ generation, kind }))
          .sort((a, b) => a.generation - b.generation);
      return {
        directory: '/simulated',
        path: ({ generation }) => String(generation),
        async list() {
          await taking();
          return listed();
        },
        async read({ generation }) {
          await taking();
          const found = stored.get(generation);
          if (found === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
          return { ...found, lock: locks.get(generation) ?? found.lock };
        },
        async prepare(generation) {
          await writing();
          return {
            async commit() {
              await writing();
              stored.set(generation.generation, generation);
            },
            discard: taking,
          };
        },
        async writeLock(generation, lock) {
          await writing();
          locks.set(generation, lock);
        },
        async remove({ generation }) {
          await taking();
          stored.delete(generation);
          locks.delete(generation);
        },
        // A disk that is full says so when it is written to.
        refuses: () => taking().then(() => null),
      };
    },
  };
  return disk;
}
