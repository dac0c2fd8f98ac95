// Attempts as the launcher remembers them: their records, and how what it says becomes observed state.
import type { AttemptRecord } from '../../state/observed.ts';

/** What the launcher keeps with an attempt at most. */
const LONGEST_RECORD = 4096;
/** What a stop adds to a record: it must always fit in. */
const ROOM_FOR_STOP = 128;

/** The record's bytes (JSON). Throws a RangeError when the launcher would not take them. */
export function encodeRecord(record: AttemptRecord): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(record));
  if (bytes.length > (record.stop === null ? LONGEST_RECORD - ROOM_FOR_STOP : LONGEST_RECORD)) {
    throw new RangeError(
      `a start of version ${record.version} has a record of ${bytes.length} bytes: it uses or depends on too much`,
    );
  }
  return bytes;
}

/** Reads what encodeRecord wrote. Bytes that are none (another release's) give a record that asks to be replaced. */
export function decodeRecord(bytes: Uint8Array): AttemptRecord {
  try {
    return { ...unknown, ...(JSON.parse(Buffer.from(bytes).toString()) as Partial<AttemptRecord>) };
  } catch {
    return unknown;
  }
}

const unknown: AttemptRecord = {
  version: '0.0.0',
  entry: '',
  run: null,
  restarts: 0,
  generation: 0,
  uses: [],
  lacks: [],
  lastExit: null,
  made: '',
  at: 0,
  autostart: false,
  onStop: { signal: 15, grace: 10_000 },
  dependsOn: [],
  beside: {},
  stop: null,
};
