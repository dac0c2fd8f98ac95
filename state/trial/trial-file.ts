// The record of the trial on the disk, beside the generations; in runDir as long as the disk does not take it.
import { promises } from 'node:fs';
import { dirname, join } from 'node:path';
import { hasErrno, ifMissing, messageOf } from '../errno.ts';
import { makeDirectory, readText } from '../file/in-place.ts';
import { prepareFile, syncDirectory, writeAtomically } from '../file/write-file.ts';
import { decodeTrial, encodeTrial, isUnderWay, type TrialRecord } from './trial-record.ts';

export interface TrialFile {
  readonly path: string;
  /** What is kept; null = nothing. Rejects with the errno when that cannot be read now, without one when it is not understood. */
  read(): Promise<TrialRecord | null>;
  /** Keeps a record (null: none). Gives why it is not on the disk: it is then kept until the boot ends. */
  write(record: TrialRecord | null): Promise<string | null>;
  /** Why the last record is not on the disk; null = it is. */
  lacks(): string | null;
  /** Why nothing may be stored that is on trial: the disk does not have that it is. Null = it may. */
  held(): string | null;
  /** The generation that a trial under way goes back to; null = there is no trial. */
  target(): number | null;
  /** Gives the disk what it did not take. Gives why it still does not. */
  settle(): Promise<string | null>;
}

interface Passing {
  readonly boot: string;
  /** Null: there is none any more, whatever the disk says. */
  readonly record: string | null;
}

/** Where the record lies. */
export function trialPath(stateDir: string): string {
  return join(stateDir, 'trial.json');
}

/** `away`: why stateDir lasts no longer than the boot; null = it does. */
export function trialFile(
  { stateDir, runDir, boot }: { readonly stateDir: string; readonly runDir: string; readonly boot: string },
  away: string | null,
): TrialFile {
  const path = trialPath(stateDir);
  const passing = join(runDir, 'trial.json');
  let lacking: string | null = null;
  let last: TrialRecord | null = null;

  async function readPassing(): Promise<Passing | null> {
    const text = await readText(passing).catch(ifMissing);
    if (text === null) return null;
    try {
      const found = JSON.parse(text) as Passing;
      return found.boot === boot ? found : null;
    } catch {
      return null; // written by nobody: the disk says what there is
    }
  }

  async function toDisk(record: TrialRecord | null): Promise<void> {
    if (record === null) {
      await gone();
      return;
    }
    await makeDirectory(stateDir, 0o700);
    try {
      await (await prepareFile(path, encodeTrial(record))).commit();
    } catch (error) {
      // That nothing is on trial any more can be said on a full disk as well: how it ended is lost with the boot then.
      if (isUnderWay(record) || !hasErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
      await gone();
      throw error;
    }
  }

  async function gone(): Promise<void> {
    await promises.unlink(path).catch(ifMissing);
    await syncDirectory(dirname(path)).catch(ifMissing);
  }

  async function write(record: TrialRecord | null): Promise<string | null> {
    last = record;
    try {
      await toDisk(record);
      if (lacking !== null) await promises.unlink(passing).catch(ifMissing);
      lacking = null;
    } catch (error) {
      lacking = messageOf(error);
      const kept: Passing = { boot, record: record === null ? null : encodeTrial(record) };
      await makeDirectory(runDir, 0o700);
      await writeAtomically(passing, JSON.stringify(kept));
    }
    return lacking ?? away;
  }

  return {
    path,
    write,
    lacks: () => lacking,
    held: () => (isUnderWay(last) ? lacking : null),
    target: () => (isUnderWay(last) ? last.confirmed : null),
    settle: async () => (lacking === null ? away : await write(last)),
    async read() {
      const kept = await readPassing();
      if (kept !== null) {
        lacking = 'it was not stored';
        last = kept.record === null ? null : decodeTrial(kept.record);
        return last;
      }
      const text = await readText(path).catch(ifMissing);
      last = text === null ? null : decodeTrial(text);
      return last;
    },
  };
}
