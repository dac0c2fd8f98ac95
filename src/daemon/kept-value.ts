// A value that outlives this process, as JSON in a file in memory that the launcher keeps. It lies in one of two places; a
// head of twelve bytes, written last and in one piece, says in which, so that what is read is always one that was set whole.
import { readSync, writeSync } from 'node:fs';
import { createMemoryFile } from '../../native/memfd.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';

const HEAD = 12;
const PLACES = [4096, 2 ** 32] as const;

export interface KeptValue<T> {
  /** What was set last, by whichever process; null: nothing ever was. */
  get(): T | null;
  set(value: T): void;
}

/** Descriptors that the launcher keeps for this process and its successors. */
export interface Keeping {
  readonly kept: ReadonlyMap<string, number>;
  readonly launcher: Pick<Launcher, 'keep'>;
}

/** The file of that name; a new, empty one at its first time. Rejects with what the launcher says. */
export async function keptMemory(name: string, { kept, launcher }: Keeping): Promise<number> {
  const known = kept.get(name);
  if (known !== undefined) return known;
  const fd = createMemoryFile(`northstate ${name}`);
  await launcher.keep(name, fd);
  return fd;
}

/** The value in a file of keptMemory. */
export function openKeptValue<T>(fd: number): KeptValue<T> {
  const head = Buffer.alloc(HEAD);
  let place: 0 | 1 = 0;
  let value: T | null = null;
  if (readSync(fd, head, 0, HEAD, 0) === HEAD) {
    place = head.readUInt32LE(0) === 0 ? 0 : 1;
    const bytes = Buffer.alloc(Number(head.readBigUInt64LE(4)));
    readSync(fd, bytes, 0, bytes.length, PLACES[place]);
    value = JSON.parse(bytes.toString()) as T;
  }
  return {
    get: () => value,
    set(next) {
      value = next;
      place = place === 0 ? 1 : 0;
      const bytes = Buffer.from(JSON.stringify(next));
      for (let done = 0; done < bytes.length;) {
        done += writeSync(fd, bytes, done, bytes.length - done, PLACES[place] + done);
      }
      head.writeUInt32LE(place, 0);
      head.writeBigUInt64LE(BigInt(bytes.length), 4);
      writeSync(fd, head, 0, HEAD, 0);
    },
  };
}
