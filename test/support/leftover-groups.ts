// Control groups that a killed launcher leaves.
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { patience } from './patience.ts';
import { setTimeout as delay } from 'node:timers/promises';

/** Removes the group `name` with all below it, in every hierarchy. Its processes must be dying. */
export async function removeGroups(name: string): Promise<void> {
  for (const directory of inEachHierarchy(name)) await removeGroup(directory);
}

/** The same where nothing can be waited for, as when this process exits; what is in them is killed. */
export function giveUpGroups(name: string): void {
  const deadline = performance.now() + patience;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (const directory of inEachHierarchy(name)) {
    while (!giveUpGroup(directory) && performance.now() < deadline) Atomics.wait(pause, 0, 0, 10);
  }
}

function inEachHierarchy(name: string): string[] {
  const table = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return table.flatMap((line) => {
    const [mount = '', type = ''] = line.split(' - ');
    return /^cgroup2? /.test(type) ? [join(mount.split(' ')[4] ?? '', name)] : [];
  });
}

/** Whether it is gone. */
function giveUpGroup(directory: string): boolean {
  if (!existsSync(directory)) return true;
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) giveUpGroup(join(directory, entry.name));
    const processes = readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').map(Number);
    for (const pid of processes) if (pid > 0) process.kill(pid, 'SIGKILL');
    rmdirSync(directory);
    return true;
  } catch {
    return false;
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
