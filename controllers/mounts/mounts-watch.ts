// The mount table's events, through the launcher: Node cannot wait for POLLPRI (proc_pid_mountinfo(5)).
import { closeSync, openSync } from 'node:fs';
import type { ObservedMount } from '../../state/observed.ts';
import type { Observing } from '../observing.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';
import { errnoOf, messageOf } from '../../state/errno.ts';
import { createRetry } from '../../state/retry.ts';
import type { Stand } from '../../state/standing.ts';

/** The watch's key at the launcher. */
export const mountTableKey = 1;

const mountTable = '/proc/self/mountinfo';

export interface MountWatch {
  /** A watch of the launcher has fired. Where it is this one, the table is read whole, once, as soon as no act of ours is under way. */
  fired(key: number): void;
  /** Runs a mount or an umount: its own event has nothing to be read for until the last one is done. */
  during<T>(act: () => Promise<T>): Promise<T>;
  close(): void;
}

export function createMountWatch(ports: {
  /** Reads the whole table. */
  readonly observe: () => Promise<ReadonlyMap<string, readonly ObservedMount[]>>;
  readonly observing: Pick<Observing, 'mounts'>;
  readonly launcher: Pick<Launcher, 'rearm'>;
  /** The table has changed: what is found by its path may be another one now. */
  readonly changed: () => void;
  readonly stand: Stand;
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
      const seen = await ports.observe();
      // An act that began meanwhile may have changed what was read; it reports by itself, and the table is read again.
      if (begun !== before) pending = true;
      else ports.observing.mounts(seen);
      ports.changed();
      ports.stand('Unreadable', mountTable, null);
      again.over();
    } catch (error) {
      // What was known of the mounts counts meanwhile.
      if (errnoOf(error) === null) throw error;
      pending = true;
      ports.stand('Unreadable', mountTable, `${messageOf(error)}; it is read again`);
      again.failed();
      return;
    } finally {
      reading = false;
    }
    await read();
  }

  const look = (): void => void read().catch(ports.failed);
  const again = createRetry(look);

  return {
    fired(key) {
      if (key !== mountTableKey) return;
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
    close: () => again.over(),
  };
}

/** Has the launcher watch this process's mount table. */
export async function watchMountTable(launcher: Launcher): Promise<void> {
  const fd = openSync(mountTable, 'r');
  try {
    await launcher.watch(mountTableKey, 'priority', fd);
  } finally {
    closeSync(fd);
  }
}
