// What a release may weigh: devices pay for every byte of it.
import { readdir, lstat } from 'node:fs/promises';
import { join } from 'node:path';

/** The most that each may be, in bytes. */
export const budgets = {
  /** The .deb. */
  package: 36e6,
  /** The tar.zst. */
  archive: 40e6,
  /** What is installed, blocks counted. */
  installed: 120e6,
} as const;

/** Throws when something is bigger than it may be; `what` is for the message. */
export function checkBudget(what: string, bytes: number, most: number): void {
  if (bytes > most) throw new Error(`${what} has ${bytes} bytes, and at most ${most} are allowed`);
}

/** What a tree takes on a disk with blocks of 4096 bytes. */
export async function installedSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => Math.ceil((await lstat(join(entry.parentPath, entry.name))).size / 4096) * 4096);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
