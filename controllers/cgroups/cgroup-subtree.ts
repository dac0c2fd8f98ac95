// A group and those below it, which a container that may mount has made: as many as it likes, as deep as it likes, with names
// of its choice. They are walked by descriptors, as no path to them need be short enough.
import { closeSync, constants, openSync } from 'node:fs';
import { opendir, rmdir } from 'node:fs/promises';
import { codeOf } from './cgroup-files.ts';

/** Groups that are looked at in one round; what is beyond waits until some of these are removed. */
const mostAtOnce = 100_000;

export interface Walk {
  /** Told of each group before those below it: a path that leads to its files as long as this is awaited. */
  enter(group: string): Promise<void> | void;
  /** Told of each but the first when all below it are done: a path to the group itself. */
  leave?(group: string): Promise<void> | void;
}

/** Walks a group and all below it; false when there were more than are looked at in one round. One that is missing has none. */
export async function walkGroups(group: string, { enter, leave }: Walk): Promise<boolean> {
  const top = openGroup(group);
  if (top === null) return true;
  let at = top;
  let left = mostAtOnce;
  const frames: { name: string; below: string[] }[] = [];
  const descend = async (name: string): Promise<void> => {
    await enter(pathOf(at));
    const below = await groupsIn(pathOf(at), left);
    left -= below.length;
    frames.push({ name, below });
  };
  try {
    await descend('');
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const name = frame.below.pop();
      if (name !== undefined) {
        const next = openGroup(`${pathOf(at)}/${name}`);
        if (next === null) continue;
        closeSync(at);
        at = next;
        await descend(name);
        continue;
      }
      frames.pop();
      if (frames.length === 0) break;
      const above = openSync(`${pathOf(at)}/..`, flags);
      closeSync(at);
      at = above;
      await leave?.(`${pathOf(at)}/${frame.name}`);
    }
    return left > 0;
  } finally {
    closeSync(at);
  }
}

/**
 * Removes the groups below one, the deepest first; those that something is in stay. Gives how many it has removed, and whether
 * that was all.
 */
export async function removeBelow(group: string, enter: Walk['enter']): Promise<{ removed: number; whole: boolean }> {
  let removed = 0;
  for (;;) {
    const before = removed;
    const whole = await walkGroups(group, {
      enter,
      async leave(below) {
        try {
          await rmdir(below);
          removed += 1;
        } catch (error) {
          if (!['EBUSY', 'ENOENT'].includes(codeOf(error))) throw error;
        }
      },
    });
    if (whole || removed === before) return { removed, whole };
  }
}

const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Null when there is none by now. */
function openGroup(path: string): number | null {
  try {
    return openSync(path, flags);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENODEV') return null;
    throw error;
  }
}

function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/** Names of groups just below one, at most so many. */
async function groupsIn(path: string, most: number): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of await opendir(path, { bufferSize: 256 })) {
    if (names.length >= most) break;
    if (entry.isDirectory()) names.push(entry.name);
  }
  return names;
}
