// The highest serial of a signed document that was ever in force: none with a lower one is taken. It outlives the generations.
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ifMissing, messageOf } from '../errno.ts';
import { readText } from '../file/in-place.ts';
import { prepareFile, writeAtomically } from '../file/write-file.ts';
import type { Stand } from '../standing.ts';

export interface SerialFloor {
  /** -1 = there was none. Rejects while it cannot be read. */
  get(): Promise<number>;
  /** Keeps it where it is not as high: on the disk, or until the disk takes it in runDir. Never rejects. */
  raise(serial: number): Promise<void>;
  /** Keeps again what the disk did not take; false = not yet. */
  settle(): Promise<boolean>;
}

export interface FloorPorts {
  readonly stateDir: string;
  readonly runDir: string;
  readonly stand: Stand;
  /** The disk did not take it: `settle` is to be called after a while. */
  readonly failed: () => void;
}

/** Where it lies in stateDir, and what the disk has not taken in runDir. */
export function serialFile(directory: string): string {
  return join(directory, 'serial.json');
}

/** Opens it; the files are read when it is first asked for. */
export function openFloor({ stateDir, runDir, stand, failed }: FloorPorts): SerialFloor {
  const lasting = serialFile(stateDir);
  const passing = serialFile(runDir);
  let known: number | null = null;
  let isKept = true;

  async function get(): Promise<number> {
    known ??= Math.max(await read(lasting), await read(passing));
    return known;
  }

  async function keep(serial: number): Promise<void> {
    const text = encode(serial);
    try {
      await (await prepareFile(lasting, text)).commit();
      await unlink(passing).catch(ifMissing);
      isKept = true;
      stand('NotDurable', lasting, null);
    } catch (error) {
      isKept = false;
      const why = `${messageOf(error)}: the serial ${serial} is kept until the boot ends, and is stored when the disk takes it`;
      stand('NotDurable', lasting, why);
      await writeAtomically(passing, text).catch((cause: unknown) =>
        stand('NotDurable', lasting, `${why}; ${messageOf(cause)}`),
      );
      failed();
    }
  }

  return {
    get,
    async raise(serial) {
      // What cannot be read may be higher: it is not written over.
      const before = await get().catch((error: unknown) => {
        stand('NotDurable', lasting, `${messageOf(error)}: the serial ${serial} is not stored`);
        return null;
      });
      if (before === null || serial <= before) return;
      known = serial;
      await keep(serial);
    },
    async settle() {
      if (!isKept && known !== null) await keep(known);
      return isKept;
    },
  };
}

async function read(path: string): Promise<number> {
  const text = await readText(path).catch(ifMissing);
  if (text === null) return -1;
  const found = /^\{"serial":(\d{1,16})\}\n$/.exec(text)?.[1];
  if (found === undefined) throw new Error(`${path} holds no serial: northstate reset --all begins anew`);
  return Number(found);
}

function encode(serial: number): string {
  return `${JSON.stringify({ serial })}\n`;
}
