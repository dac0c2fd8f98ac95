// The mount table's events, through the launcher: Node cannot wait for POLLPRI (proc_pid_mountinfo(5)).
import { closeSync, openSync } from 'node:fs';
import type { Mounts } from './mounts.ts';
import type { Observing } from '../observing.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';

/** The watch's key at the launcher. */
export const mountTableKey = 1;

export interface MountWatch {
  /** The table has changed: it is read whole, once, as soon as no act of ours is under way. */
  fired(): void;
  /** Runs a mount or an umount: its own event has nothing to be read for until the last one is done. */
  during<T>(act: () => Promise<T>): Promise<T>;
}

export function createMountWatch(ports: {
  readonly mounts: Mounts;
  readonly observing: Observing;
  readonly launcher: Launcher;
  readonly failed: (error: unknown) => void;
}): MountWatch {
  let acts = 0;
  /** Acts that ever began: one may begin and end while the table is read. */
  let begun = 0;
  let pending = false;
  let reading = false;

  async function read(): Promise<void> {
    if (!pending || reading || acts > 0) return;
    pending = false;
    reading = true;
    const before = begun;
    try {
      // Armed before the table is read, so that no change falls between.
      await ports.launcher.rearm(mountTableKey);
      const seen = await ports.mounts.observe();
      // An act that began meanwhile may have changed what was read; it reports by itself, and the table is read again.
      if (begun !== before) pending = true;
      else ports.observing.mounts(seen);
    } finally {
      reading = false;
    }
    await read();
  }

  const look = (): void => void read().catch(ports.failed);

  return {
    fired() {
      pending = true;
      look();
    },
    async during(act) {
      acts += 1;
      begun += 1;
      try {
        return await act();
      } finally {
        acts -= 1;
        if (acts === 0) setImmediate(look);
      }
    },
  };
}

/** Has the launcher watch this process's mount table. */
export async function watchMountTable(launcher: Launcher): Promise<void> {
  const fd = openSync('/proc/self/mountinfo', 'r');
  try {
    await launcher.watch(mountTableKey, 'priority', fd);
  } finally {
    closeSync(fd);
  }
}
