// Control groups that a killed launcher leaves.
import { readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { patience } from './patience.ts';
import { setTimeout as delay } from 'node:timers/promises';

/** Removes the group `name` with all below it, in every hierarchy. Its processes must be dying. */
export async function removeGroups(name: string): Promise<void> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  for (const line of table.split('\n')) {
    const [mount = '', type = ''] = line.split(' - ');
    if (/^cgroup2? /.test(type)) await removeGroup(join(mount.split(' ')[4] ?? '', name));
  }
}

async function removeGroup(directory: string): Promise<void> {
  let entries;
  try {
    entries = await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  for (const entry of entries) if (entry.isDirectory()) await removeGroup(join(directory, entry.name));
  await removeEmpty(directory);
}

/** Removes a group without groups. A killed process leaves it a moment after its death is reported (rmdir: EBUSY until then). */
export async function removeEmpty(directory: string): Promise<void> {
  const deadline = performance.now() + patience;
  for (;;) {
    try {
      await rmdir(directory);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || performance.now() > deadline) throw error;
      await delay(10);
    }
  }
}
