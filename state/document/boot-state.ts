// What lasts until the boot ends: the overlay and the generations that were given up. Kept in runDir, a tmpfs.
import { existsSync, promises } from 'node:fs';
import { join } from 'node:path';
import type { OverlayField } from './overlay.ts';
import { toJson, type Locked } from '../store.ts';
import { toTree } from '../text/tree.ts';
import { makeDirectory, readText } from '../file/in-place.ts';
import { writeAtomically, writeInPlace } from '../file/write-file.ts';
import { ifMissing } from '../errno.ts';

export interface BootState {
  /** The newest generation of this boot, also of those that are stored nowhere else. */
  readonly generation: number;
  /** Stored generations that ended the runtime again and again. */
  readonly refused: readonly number[];
  readonly overlay: readonly OverlayField[];
  /** What entries are resolved to other than by the stored generation's lock. */
  readonly lock: ReadonlyMap<string, Locked>;
  /** Why the document could not be written the last time; null when it could. */
  readonly notWritable: string | null;
}

export interface BootFile {
  readonly path: string;
  /** What is kept of this boot. Rejects when it cannot be read now. */
  read(): Promise<BootState>;
  save(state: BootState): Promise<void>;
  /** Writes it again when it was deleted. */
  restore(): Promise<void>;
}

/** Characters of a file that is written in place. */
const small = 16 * 1024;

/** Nothing is kept. */
export const emptyBoot: BootState = { generation: 0, refused: [], overlay: [], lock: new Map(), notWritable: null };

/** The file of this boot (random/boot_id, random(4)); what another boot left is removed when it is read. */
export function bootFile(runDir: string, bootId: string, warn: (fields: object, message: string) => void): BootFile {
  const path = join(runDir, 'overlay.json');
  let kept: string | null = null;
  return {
    path,
    async read() {
      await makeDirectory(runDir, 0o700);
      const text = await readText(path).catch(ifMissing);
      if (text === null) return emptyBoot;
      try {
        const stored = JSON.parse(text) as Stored;
        if (stored.bootId === bootId) {
          kept = text;
          return decode(stored);
        }
      } catch (error) {
        warn({ err: error, path }, 'the overlay is not understood');
      }
      await promises.unlink(path);
      return emptyBoot;
    },
    async save(state) {
      kept = JSON.stringify(toJson({ bootId, ...state }));
      if (kept.length <= small) {
        writeInPlace(path, kept);
        return;
      }
      await makeDirectory(runDir, 0o700);
      await writeAtomically(path, kept);
    },
    async restore() {
      if (kept !== null && !existsSync(path)) await writeAtomically(path, kept);
    },
  };
}

interface Stored extends Omit<BootState, 'lock' | 'notWritable'> {
  readonly bootId: string;
  readonly notWritable?: string | null;
  readonly lock?: Readonly<Record<string, Locked>>;
}

function decode({ generation, refused, overlay, lock = {}, notWritable = null }: Stored): BootState {
  const fields = overlay.map(decodeField);
  return { generation, refused, overlay: fields, lock: new Map(Object.entries(lock)), notWritable };
}

function decodeField({ pointer, value, origin, generation, command }: OverlayField): OverlayField {
  return { pointer, origin, generation, command, ...(value === undefined ? {} : { value: toTree(value) }) };
}
