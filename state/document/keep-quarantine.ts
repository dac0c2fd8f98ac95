// What is in quarantine, in force and on the disk.
import type { Core } from './core.ts';
import { messageOf } from '../errno.ts';
import type { Quarantined } from '../trial/quarantine.ts';

/** Keeps what is in quarantine. What cannot be written holds from here on all the same, and is tried again. */
export async function keepQuarantine(core: Core, all: readonly Quarantined[]): Promise<void> {
  const { quarantines, store, stand } = core;
  if (all !== core.quarantine) {
    core.quarantine = all;
    store.update((draft) => void (draft.quarantine = all.map((each) => ({ ...each }))));
  }
  try {
    await quarantines.write(all);
    core.quarantineLacks = false;
    stand('NotDurable', quarantines.path, null);
  } catch (error) {
    core.quarantineLacks = true;
    stand('NotDurable', quarantines.path, messageOf(error));
    core.failed();
  }
}
