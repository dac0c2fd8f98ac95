// A stream of the runtime's own that a container writes to (`io: inherit`).
import { closeSync, constants, openSync } from 'node:fs';

/**
 * Opens stream 1 or 2 anew, to write at the end of it: of what is merely passed on, a container could change the flags,
 * cut a file off, and read a terminal. A socket cannot be opened again (unix(7)), and can be neither cut nor typed into.
 */
export function openInherited(stream: 1 | 2): { readonly fd: number; close(): void } {
  try {
    const fd = openSync(`/proc/self/fd/${stream}`, constants.O_WRONLY | constants.O_APPEND | constants.O_NOCTTY);
    return { fd, close: () => closeSync(fd) };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENXIO')) throw error;
    return { fd: stream, close: () => undefined };
  }
}
