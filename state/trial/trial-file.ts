// The record of the trial on the disk, beside the generations; in runDir as long as the disk does not take it.
import { hasErrno, messageOf } from '../errno.ts';
import type { KeptText } from '../file/kept-text.ts';
import { decodeTrial, encodeTrial, isUnderWay, type TrialRecord } from './trial-record.ts';

export interface TrialFile {
  readonly path: string;
  /** What is kept; null = nothing. Rejects with the errno when that cannot be read now, without one when it is not understood. */
  read(): Promise<TrialRecord | null>;
  /**
   * Keeps a record (null: none). Gives why it is not on the disk: it is then kept until the boot ends. `unready`: why it must not be
   * there yet, null = it may.
   */
  write(record: TrialRecord | null, unready?: string | null): Promise<string | null>;
  /** Why the last record is not on the disk; null = it is. */
  lacks(): string | null;
  /** Why a generation may not be stored: it is on trial, and the disk does not have that it is. Null = it may. */
  held(generation: number): string | null;
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

export interface TrialPlaces {
  readonly disk: KeptText;
  /** In runDir. */
  readonly passing: KeptText;
  /** /proc/sys/kernel/random/boot_id */
  readonly boot: string;
  /** Why the disk lasts no longer than the boot; null = it does. */
  readonly away: string | null;
}

export function trialFile({ disk, passing, boot, away }: TrialPlaces): TrialFile {
  let lacking: string | null = null;
  let last: TrialRecord | null = null;

  async function readPassing(): Promise<Passing | null> {
    const text = await passing.read();
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
      await disk.remove();
      return;
    }
    try {
      await disk.write(encodeTrial(record));
    } catch (error) {
      // That nothing is on trial any more can be said on a full disk as well: how it ended is lost with the boot then.
      if (!isUnderWay(record) && hasErrno(error, 'ENOSPC', 'EDQUOT')) await disk.remove();
      throw error;
    }
  }

  async function write(record: TrialRecord | null, unready: string | null = null): Promise<string | null> {
    last = record;
    try {
      if (unready !== null) throw new Error(unready);
      await toDisk(record);
      if (lacking !== null) await passing.remove();
      lacking = null;
    } catch (error) {
      lacking = messageOf(error);
      const kept: Passing = { boot, record: record === null ? null : encodeTrial(record) };
      await passing.write(JSON.stringify(kept));
    }
    return lacking ?? away;
  }

  return {
    path: disk.path,
    write,
    lacks: () => lacking,
    held: (generation) => (isUnderWay(last) && generation > last.confirmed ? lacking : null),
    target: () => (isUnderWay(last) ? last.confirmed : null),
    settle: async () => (lacking === null ? away : await write(last)),
    async read() {
      const kept = await readPassing();
      if (kept !== null) lacking = 'it was not stored';
      const text = kept === null ? await disk.read() : kept.record;
      last = text === null ? null : decodeTrial(text);
      return last;
    },
  };
}
