// What the launcher remembers for the reconciler as a whole (JSON, at most 4 KiB).
import type { Launcher } from '../../native/wire/launcher-interface.ts';

export interface GlobalRecord {
  /** The packages that start by themselves have been judged since the launcher was started. */
  readonly autostartDone: boolean;
  /** The exit status, once everything is to be stopped: a successor goes on with that. */
  readonly ending: number | null;
  /** What tokens are made with, base64; made by the first reconciler. */
  readonly tokenKey: string | null;
}

const untold: GlobalRecord = { autostartDone: false, ending: null, tokenKey: null };

export interface GlobalRecordKeeper {
  get(): GlobalRecord;
  /** Has the launcher keep it for whoever comes after this process. */
  set(change: Partial<GlobalRecord>): void;
}

/** Begins with what an earlier reconciler has left. `failed` is told when the launcher does not take a record. */
export function keepGlobal(
  bytes: Uint8Array,
  launcher: Pick<Launcher, 'record'>,
  failed: (error: unknown) => void,
): GlobalRecordKeeper {
  let record = decodeGlobal(bytes);
  return {
    get: () => record,
    set(change) {
      record = { ...record, ...change };
      launcher.record(0, encodeGlobal(record)).catch(failed);
    },
  };
}

export function encodeGlobal(record: GlobalRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

/** Reads what encodeGlobal wrote; no bytes are the record of a launcher that has just been started. */
export function decodeGlobal(bytes: Uint8Array): GlobalRecord {
  if (bytes.length === 0) return untold;
  return { ...untold, ...(JSON.parse(Buffer.from(bytes).toString()) as Partial<GlobalRecord>) };
}
