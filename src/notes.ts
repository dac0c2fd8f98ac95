// What has run in this boot, one small file a container in runDir (a tmpfs): the death of the launcher forgets attempts,
// and must not repeat a run that the restart policy would not repeat.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ran } from '../state/observed.ts';

interface Note {
  readonly name: string;
  readonly boot: string;
  readonly ran: Ran;
}

export interface Notes {
  /** What an earlier process of this boot has noted, by container name. */
  readonly ran: ReadonlyMap<string, Ran>;
  /** Replaces a container's note, or takes it away (null). Written at once: the file is small and in memory. */
  set(name: string, ran: Ran | null): void;
}

/** Opens the notes below `runDir`. Those of an earlier boot, and files that are none, are removed. */
export function openNotes(runDir: string, boot: string): Notes {
  const directory = join(runDir, 'ran');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const ran = new Map<string, Ran>();
  for (const file of readdirSync(directory)) {
    const note = read(join(directory, file));
    if (note?.boot === boot) ran.set(note.name, note.ran);
    else rmSync(join(directory, file), { force: true });
  }
  // A name may be longer than a file's may be.
  const pathOf = (name: string) => join(directory, createHash('sha256').update(name).digest('hex'));
  return {
    ran,
    set(name, next) {
      const path = pathOf(name);
      if (next === null) {
        rmSync(path, { force: true });
        return;
      }
      const note: Note = { name, boot, ran: next };
      writeFileSync(`${path}.new`, JSON.stringify(note), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
  };
}

function read(path: string): Note | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Note;
  } catch {
    return null;
  }
}
