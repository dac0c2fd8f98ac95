// Where the wall clock stands beside the boot-time clock. All times of this boot are kept in the latter, or were written with
// this distance between the two: when somebody sets the clock, what was written before is moved along, so that a device that
// came up in 1970 tells true times as soon as it knows better.
import { bootTime, openClockBell, rearmClockBell } from '../../native/clock.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';
import { moveTimes } from '../../state/move-times.ts';
import type { Store } from '../../state/store.ts';
import type { KeptValue } from './kept-value.ts';

export interface WallClock {
  /** ms since 1970 at a time of CLOCK_BOOTTIME in ms. */
  at(boot: number): number;
  /** The distance between the two clocks, as it is in the store from `follow` on. */
  distance(): number;
  /** The same in RFC 3339, UTC. */
  text(boot: number): string;
  /** Has the launcher ring when the clock is set; the times in the store are moved then, and now if it was set meanwhile. */
  follow(
    store: Store,
    launcher: Pick<Launcher, 'watch' | 'rearm'>,
    failed: (error: unknown) => void,
  ): Promise<ClockWatch>;
}

export interface ClockWatch {
  /** The launcher's watch of this key rings. */
  fired(key: number): void;
}

export const clockKey = 3;

/** ms that the distance changes by itself: it is read from two clocks, one after the other. */
const UNSURE = 1000;

/** `kept`: the distance that an earlier process of this boot has written times with. */
export function openWallClock(kept: KeptValue<number>): WallClock {
  const measured = (): number => Date.now() - bootTime();
  let now = kept.get() ?? measured();
  if (kept.get() === null) kept.set(now);
  const at = (boot: number): number => now + boot;

  function look(store: Store): void {
    const by = measured() - now;
    if (Math.abs(by) < UNSURE) return;
    now += by;
    kept.set(now);
    store.update((draft) => {
      moveTimes(draft, by);
      draft.clock.distance = now;
    });
  }

  return {
    at,
    distance: () => now,
    text: (boot) => new Date(at(boot)).toISOString(),
    async follow(store, launcher, failed) {
      const bell = openClockBell();
      await launcher.watch(clockKey, 'readable', bell);
      look(store);
      return {
        fired(key) {
          if (key !== clockKey) return;
          rearmClockBell(bell);
          look(store);
          launcher.rearm(clockKey).catch(failed);
        },
      };
    },
  };
}
