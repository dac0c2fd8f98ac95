// What has run in this boot, one small file a container in runDir (a tmpfs): the death of the launcher forgets attempts,
// and must not repeat a run that the restart policy would not repeat.
import { hash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
  /** Where they lie. */
  readonly directory: string;
  /** Writes again what was deleted: the note in a file of that name, or (null) any. */
  restore(file: string | null): void;
}

/** The file of a name's note: the name may be longer than a file's may be. */
export function noteFile(name: string): string {
  return hash('sha256', name);
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
  /** By file. */
  const kept = new Map<string, Note>();
  for (const file of readdirSync(directory)) {
    const path = join(directory, file);
    const note = read(path, failed);
    if (note?.boot !== boot) rmSync(path, { force: true });
    // An earlier launcher's attempts are not this one's of the same number.
    else {
      ran.set(note.name, note.launcher === launcher ? note.ran : { ...note.ran, attempt: null });
      kept.set(file, note);
    }
  }
  function write(file: string, note: Note): void {
    const path = join(directory, file);
    writeFileSync(`${path}.new`, JSON.stringify(note), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  return {
    ran,
    directory,
    set(name, next) {
      const file = noteFile(name);
      if (next === null) {
        kept.delete(file);
        rmSync(join(directory, file), { force: true });
        return;
      }
      const note: Note = { name, boot, launcher, ran: next };
      kept.set(file, note);
      // Somebody may have emptied runDir a moment ago.
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      write(file, note);
    },
    restore(only) {
      for (const file of only === null ? kept.keys() : [only]) {
        const note = kept.get(file);
        if (note !== undefined && !existsSync(join(directory, file))) write(file, note);
      }
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
