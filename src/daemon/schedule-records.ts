// What is remembered of schedules: in memory that outlives this process, and, for the next boot, a small file of each name
// in stateDir.
import { hash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno, messageOf } from '../../state/errno.ts';
import { prepareFile } from '../../state/file/write-file.ts';
import type { ScheduleRecord } from '../../state/schedule.ts';
import type { Stand } from '../../state/standing.ts';
import type { KeptValue } from './kept-value.ts';

export interface ScheduleRecords {
  /** Those of an earlier process, else of an earlier boot; by container name. */
  readonly earlier: ReadonlyMap<string, ScheduleRecord>;
  /** Keeps one, or takes it away (null). What cannot be written to the disk stands as a condition, and lasts until the boot ends. */
  keep(name: string, record: ScheduleRecord | null): Promise<void>;
}

export interface ScheduleRecordsPorts {
  readonly stateDir: string;
  readonly kept: KeptValue<Record<string, ScheduleRecord>>;
  readonly stand: Stand;
  /** Told of a file that cannot be read: what it said of a schedule is lost, and that begins anew. */
  readonly failed: (path: string, error: unknown) => void;
}

interface Stored {
  readonly name: string;
  readonly record: ScheduleRecord;
}

export function openScheduleRecords({ stateDir, kept, stand, failed }: ScheduleRecordsPorts): ScheduleRecords {
  const directory = join(stateDir, 'schedules');
  const known = kept.get();
  const records = known === null ? readAll(directory, failed) : new Map(Object.entries(known));

  return {
    earlier: new Map(records),
    async keep(name, record) {
      if (record === null) records.delete(name);
      else records.set(name, record);
      kept.set(Object.fromEntries(records));
      const path = join(directory, `${hash('sha256', name)}.json`);
      const problem = await write(directory, path, record === null ? null : { name, record });
      stand('NotDurable', path, problem === null ? null : `the schedule of ${name}: ${problem}`);
    },
  };
}

/** What keeps a record from being on the disk; null: nothing does. */
async function write(directory: string, path: string, stored: Stored | null): Promise<string | null> {
  try {
    if (stored === null) {
      await rm(path, { force: true });
      return null;
    }
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    await (await prepareFile(path, JSON.stringify(stored))).commit();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

function readAll(directory: string, failed: ScheduleRecordsPorts['failed']): Map<string, ScheduleRecord> {
  const records = new Map<string, ScheduleRecord>();
  for (const file of filesOf(directory, failed)) {
    const path = join(directory, file);
    try {
      const { name, record } = JSON.parse(readFileSync(path, 'utf8')) as Stored;
      records.set(name, record);
    } catch (error) {
      failed(path, error);
    }
  }
  return records;
}

function filesOf(directory: string, failed: ScheduleRecordsPorts['failed']): readonly string[] {
  try {
    return readdirSync(directory).filter((file) => file.endsWith('.json'));
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) failed(directory, error);
    return [];
  }
}
