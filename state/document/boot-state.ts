// What lasts until the boot ends: the overlay and the generations that were given up. Kept in runDir, a tmpfs.
import { mkdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { OverlayField } from './overlay.ts';
import { toJson, type Locked } from '../store.ts';
import { toTree } from '../text/tree.ts';
import { writeAtomically } from '../file/write-file.ts';
import { hasErrno } from '../errno.ts';

export interface BootState {
  /** The newest generation of this boot, also of those that are stored nowhere else. */
  readonly generation: number;
  /** Stored generations that ended the runtime again and again. */
  readonly refused: readonly number[];
  readonly overlay: readonly OverlayField[];
  /** What entries are resolved to other than by the stored generation's lock. */
  readonly lock: ReadonlyMap<string, Locked>;
}

export interface BootFile {
  save(state: BootState): Promise<void>;
}

/** Opens the file; what another boot (see random/boot_id, random(4)) left is removed. */
export async function openBootState(
  runDir: string,
  bootId: string,
  warn: (fields: object, message: string) => void,
): Promise<{ state: BootState; file: BootFile }> {
  await mkdir(runDir, { recursive: true, mode: 0o700 });
  const path = join(runDir, 'overlay.json');
  const nothing: BootState = { generation: 0, refused: [], overlay: [], lock: new Map() };
  const file: BootFile = {
    save: async (state) => {
      await writeAtomically(path, JSON.stringify(toJson({ bootId, ...state })));
    },
  };
  try {
    const stored = JSON.parse(await readFile(path, 'utf8')) as Stored;
    if (stored.bootId === bootId) return { state: decode(stored), file };
    await unlink(path);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) warn({ err: error, path }, 'the overlay cannot be read');
  }
  return { state: nothing, file };
}

interface Stored extends Omit<BootState, 'lock'> {
  readonly bootId: string;
  readonly lock?: Readonly<Record<string, Locked>>;
}

function decode({ generation, refused, overlay, lock = {} }: Stored): BootState {
  return { generation, refused, overlay: overlay.map(decodeField), lock: new Map(Object.entries(lock)) };
}

function decodeField({ pointer, value, origin, generation, command }: OverlayField): OverlayField {
  return { pointer, origin, generation, command, ...(value === undefined ? {} : { value: toTree(value) }) };
}
