// What the simulated device remembers of schedules: records that outlive boots.
import { schedulesPart } from '../../controllers/schedules/schedules.ts';
import type { Part, View } from '../../controllers/controller.ts';
import { cronAfter } from '../../state/schema/cron.ts';
import type { Store } from '../../state/store.ts';
import type { World } from './world.ts';

/** The part of a reconciler: a record is the device's once it is written, and this life's a little later. */
export function simulatedSchedules(
  world: World,
  { store, view, pause }: { store: Store; view: (name: string) => View; pause: () => Promise<void> },
): Part {
  return schedulesPart({
    view,
    random: world.random,
    cron: async () => cronAfter,
    async keep(name, record) {
      await pause();
      const schedules = new Map(world.observed.schedules);
      if (record === null) schedules.delete(name);
      else schedules.set(name, record);
      world.observed = { ...world.observed, schedules };
      await pause();
    },
    observe: (name, record) => store.observe('schedules', name, record ?? undefined),
  });
}
