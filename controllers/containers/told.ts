// What of each attempt was told: a byte for each id, in a file in memory that the launcher keeps. So what happened while there
// was no reconciler is told by the next one, and what was told before is not told again.
import { readSync, writeSync } from 'node:fs';
import { createMemoryFile } from '../../native/memfd.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';

const name = 'told';
const marks = { started: 1, exit: 2 } as const;
type News = keyof typeof marks;

export interface Told {
  /** Whether this was told of an attempt. */
  has(attempt: number, news: News): boolean;
  add(attempt: number, news: News): void;
}

/** `kept`: everything that the launcher has kept, by name. Rejects with what the launcher says. */
export async function openTold(kept: ReadonlyMap<string, number>, launcher: Pick<Launcher, 'keep'>): Promise<Told> {
  const fd = kept.get(name) ?? createMemoryFile('northstate told');
  if (!kept.has(name)) await launcher.keep(name, fd);
  const byte = Buffer.alloc(1);
  return {
    has(attempt, news) {
      return readSync(fd, byte, 0, 1, attempt) === 1 && (byte[0] ?? 0) >= marks[news];
    },
    add(attempt, news) {
      byte[0] = marks[news];
      writeSync(fd, byte, 0, 1, attempt);
    },
  };
}
