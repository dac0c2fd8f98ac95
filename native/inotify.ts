// Watching files by themselves (inotify(7)), where a descriptor is wanted that others can wait for.
import { closeSync } from 'node:fs';
import { declare } from './libc.ts';

const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;
const IN_MASK_ADD = 0x20000000;
const IN_DONT_FOLLOW = 0x02000000;

const inMoveSelf = 0x800;
const inDeleteSelf = 0x400;
const inContent = 0x2 | 0x4 | 0x8; // MODIFY, ATTRIB, CLOSE_WRITE
const inComing = 0x100 | 0x80; // CREATE, MOVED_TO
const inGoing = 0x200 | 0x40; // DELETE, MOVED_FROM

/** What rings: a file's content and attributes or its end, a directory's own end, what comes into it, all that happens in it. */
export const inotifyMask = {
  file: inContent | inMoveSelf | inDeleteSelf,
  end: inMoveSelf | inDeleteSelf,
  coming: inComing | inMoveSelf | inDeleteSelf,
  all: inContent | inComing | inGoing | inMoveSelf | inDeleteSelf,
} as const;

const init = declare('inotify_init1', 'int', ['int']);
const add = declare('inotify_add_watch', 'int', ['int', 'str', 'uint32_t']);

/**
 * A descriptor that is readable when something has happened to one of these paths, the links among them not followed. The
 * caller's to close. Throws SyscallError: ENOENT for what has gone meanwhile, EMFILE and ENOSPC at the user's limits.
 */
export function openInotify(paths: Iterable<readonly [path: string, mask: number]>): number {
  const fd = init('inotify_init1', IN_CLOEXEC | IN_NONBLOCK);
  try {
    for (const [path, mask] of paths) add(path, fd, path, mask | IN_MASK_ADD | IN_DONT_FOLLOW);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
