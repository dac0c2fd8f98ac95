// Where the groups of names are that have a `parent`: below it instead of below our root. A group stays where it was made as
// long as anything runs in it, and so that whoever comes next in this boot finds it there, that is kept in a file: lines of
// JSON, to which the boot player adds.
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
    writeFileSync(`${file}.new`, lineOf({ names: [...names], made: [...made] }), { mode: 0o600 });
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

/** Names with their parents, and directories that we have made; what a later line says counts. */
interface Line {
  readonly names: readonly (readonly [name: string, parent: string])[];
  readonly made: readonly string[];
}

/** One line of the file. */
export function lineOf(line: Line): Uint8Array {
  return Buffer.from(`${JSON.stringify(line)}\n`);
}

function read(file: string | null): { names: Map<string, string>; made: Set<string> } {
  try {
    const text = file === null ? '' : readFileSync(file, 'utf8');
    const lines = text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
    return { names: new Map(lines.flatMap(({ names }) => names)), made: new Set(lines.flatMap(({ made }) => made)) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { names: new Map(), made: new Set() };
    throw error;
  }
}
