// What has run in this boot, one small file a container in runDir (a tmpfs): the death of the launcher forgets attempts,
// and must not repeat a run that the restart policy would not repeat.
import { hash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ran } from '../../state/observed.ts';

interface Note {
  readonly name: string;
  readonly boot: string;
  readonly launcher: number;
  readonly ran: Ran;
}

export interface Notes {
  /** What an earlier process of this boot has noted, by container name. */
  readonly ran: ReadonlyMap<string, Ran>;
  /** Replaces a container's note, or takes it away (null). Written at once: the file is small and in memory. */
  set(name: string, ran: Ran | null): void;
}

/**
 * Opens the notes below `runDir` for this boot and the launcher that began at `launcher` (CLOCK_BOOTTIME in ms). Those of an
 * earlier boot are removed, and files that are none, of which `failed` is told.
 */
export function openNotes(
  runDir: string,
  boot: string,
  launcher: number,
  failed: (path: string, error: unknown) => void,
): Notes {
  const directory = join(runDir, 'ran');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const ran = new Map<string, Ran>();
  for (const file of readdirSync(directory)) {
    const path = join(directory, file);
    const note = read(path, failed);
    if (note?.boot !== boot) rmSync(path, { force: true });
    // An earlier launcher's attempts are not this one's of the same number.
    else ran.set(note.name, note.launcher === launcher ? note.ran : { ...note.ran, attempt: null });
  }
  // A name may be longer than a file's may be.
  const pathOf = (name: string) => join(directory, hash('sha256', name));
  return {
    ran,
    set(name, next) {
      const path = pathOf(name);
      if (next === null) {
        rmSync(path, { force: true });
        return;
      }
      const note: Note = { name, boot, launcher, ran: next };
      writeFileSync(`${path}.new`, JSON.stringify(note), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
  };
}

function read(path: string, failed: (path: string, error: unknown) => void): Note | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Note;
  } catch (error) {
    failed(path, error);
    return null;
  }
}
