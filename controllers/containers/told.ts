// What of each attempt was told, in a file in memory that the launcher keeps: eight bytes for each id. So what happened while
// there was no reconciler is told by the next one, and what was told before is not told again.
import { readSync, writeSync } from 'node:fs';
import { punchHole } from '../../native/socket-pair.ts';
import type { Telling } from '../events.ts';

const marks = { started: 1, exit: 2 } as const;
type News = keyof typeof marks;

const RECORD = 8;
const KILLS = 4;
const PAGE = 4096;

export interface Told {
  /** Whether this was told of an attempt. */
  has(attempt: number, news: News): boolean;
  /** Processes killed for want of memory that were told of; null: nobody has watched for them. */
  kills(attempt: number): number | null;
  add(telling: Telling): void;
}

/** Opens the file; what it says of attempts below `oldest` (Infinity: there are none) is given back to the kernel. */
export function openTold(fd: number, oldest: number): Told {
  const record = Buffer.alloc(RECORD);
  const end = Number.isFinite(oldest) ? Math.floor((oldest * RECORD) / PAGE) * PAGE : 0;
  if (end > 0) punchHole(fd, 0, end);

  function read(attempt: number): Buffer {
    record.fill(0);
    readSync(fd, record, 0, RECORD, attempt * RECORD);
    return record;
  }

  return {
    has: (attempt, news) => read(attempt).readUInt8(0) >= marks[news],
    kills(attempt) {
      const known = read(attempt).readUInt32LE(KILLS);
      return known === 0 ? null : known - 1;
    },
    add(telling) {
      read(telling.attempt);
      if ('news' in telling) record.writeUInt8(Math.max(record.readUInt8(0), marks[telling.news]), 0);
      else record.writeUInt32LE(telling.kills + 1, KILLS);
      writeSync(fd, record, 0, RECORD, telling.attempt * RECORD);
    },
  };
}
