// What the launcher remembers for the reconciler as a whole (JSON, at most 4 KiB).

export interface GlobalRecord {
  /** The packages that start by themselves have been judged since the launcher was started. */
  readonly autostartDone: boolean;
  /** The exit status, once everything is to be stopped: a successor goes on with that. */
  readonly ending: number | null;
  /** What tokens are made with, base64; made by the first reconciler. */
  readonly tokenKey: string | null;
}

const untold: GlobalRecord = { autostartDone: false, ending: null, tokenKey: null };

export function encodeGlobal(record: GlobalRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

/** Reads what encodeGlobal wrote; no bytes are the record of a launcher that has just been started. */
export function decodeGlobal(bytes: Uint8Array): GlobalRecord {
  if (bytes.length === 0) return untold;
  return { ...untold, ...(JSON.parse(Buffer.from(bytes).toString()) as Partial<GlobalRecord>) };
}
