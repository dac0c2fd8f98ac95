// What a package was made of, as make and Ninja read it: `target: files`, and an empty rule for each file, so that one
// that is deleted later is no error but a reason to pack again.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '../../state/errno.ts';

export interface Dependencies {
  /** The package, as the build system calls it. */
  readonly target: string;
  readonly files: readonly string[];
  /** Files, or directories with everything in them: an entry that comes or goes changes its directory. */
  readonly trees: readonly string[];
}

/** Writes the file. Rejects for a name that make cannot say. */
export async function writeDependencies(path: string, { target, files, trees }: Dependencies): Promise<void> {
  const all = [...files, ...(await Promise.all(trees.map(everythingIn))).flat()];
  const names = [...new Set(all)].map(escaped);
  const rules = names.map((name) => `${name}:\n`).join('\n');
  await writeFile(path, `${escaped(target)}: \\\n  ${names.join(' \\\n  ')}\n\n${rules}`);
}

async function everythingIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true, recursive: true }).catch((error: unknown) => {
    if (hasErrno(error, 'ENOTDIR')) return [];
    throw error;
  });
  const inside = entries
    .filter((entry) => entry.isDirectory() || entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return [path, ...inside.sort()];
}

function escaped(name: string): string {
  if (/[\n\r:;%]/.test(name))
    throw new Error(`${JSON.stringify(name)} has a character that make cannot have in a name`);
  return name.replaceAll(/[\\# ]/g, '\\$&').replaceAll('$', '$$$$');
}
