// Where the groups of names are that have a `parent`: below it instead of below our root. A group stays where it was made, and
// so that whoever comes next in this boot finds it there, that is kept in a file.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { codeOf } from './cgroup-files.ts';

export interface Places {
  /** The path below each hierarchy's mount point, null for a group below our root. */
  of(name: string): string | null;
  /** Every name with a parent, and that. */
  all(): ReadonlyMap<string, string>;
  set(name: string, parent: string | null): void;
  /** Directories above groups that we have made ourselves. */
  made(): ReadonlySet<string>;
  addMade(directory: string): void;
  /** Writes the file again when it was deleted. */
  restore(): void;
}

/** `file` null: it is not kept. Throws what reading it throws, but that it is not there. */
export function openPlaces(file: string | null): Places {
  const { names, made } = read(file);

  function write(): void {
    if (file === null) return;
    if (names.size === 0 && made.size === 0) return rmSync(file, { force: true });
    writeFileSync(`${file}.new`, JSON.stringify({ names: [...names], made: [...made] }), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  return {
    of: (name) => names.get(name) ?? null,
    all: () => names,
    set(name, parent) {
      if ((names.get(name) ?? null) === parent) return;
      if (parent === null) names.delete(name);
      else names.set(name, parent);
      write();
    },
    restore() {
      if (file !== null && !existsSync(file)) write();
    },
    made: () => made,
    addMade(directory) {
      if (made.has(directory)) return;
      made.add(directory);
      write();
    },
  };
}

function read(file: string | null): { names: Map<string, string>; made: Set<string> } {
  try {
    const text = file === null ? '{"names":[],"made":[]}' : readFileSync(file, 'utf8');
    const { names, made } = JSON.parse(text) as { names: [string, string][]; made: string[] };
    return { names: new Map(names), made: new Set(made) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { names: new Map(), made: new Set() };
    throw error;
  }
}
