import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { commandLine } from './container-processes.ts';
import { patience } from './patience.ts';

/**
 * How many descriptors a launcher has when a start has left nothing for the next one: a network namespace is made after a start,
 * by a child that has the launcher's name, and goes after a while (native/launcher/core/spare-network.h).
 */
export async function launcherDescriptors(launcher: number): Promise<number> {
  const end = performance.now() + patience;
  while (performance.now() < end) {
    const children = readFileSync(`/proc/${launcher}/task/${launcher}/children`, 'utf8').trim().split(' ');
    const isMaking = children.some((pid) => pid !== '' && ['', commandLine(launcher)].includes(commandLine(pid)));
    const open = readdirSync(`/proc/${launcher}/fd`).map((fd) => targetOf(`/proc/${launcher}/fd/${fd}`));
    if (!isMaking && !open.some((target) => target.startsWith('net:['))) return open.length;
    await delay(10);
  }
  throw new Error(`launcher ${launcher} keeps a network namespace`);
}

/** '' of one that has been closed meanwhile. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
