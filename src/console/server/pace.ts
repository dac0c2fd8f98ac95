// Requests per second: more are delayed, not refused. And in turn: whoever sends many at once waits for the others.
import { setImmediate as othersTurn, setTimeout as delay } from 'node:timers/promises';
import type { Progress } from './channel.ts';

/** Requests that a connection may have answered before everybody else who has said something gets a turn. */
const atOnce = 8;

/**
 * Gives a function that resolves at once as long as it is called at most `perSecond` times a second, else when its turn has
 * come. How much of that is used up stands in `progress`; `clock` is CLOCK_BOOTTIME in ms.
 */
export function createPace(
  perSecond: number,
  progress: Pick<Progress, 'pace'>,
  clock: () => number,
): () => Promise<void> {
  let taken = 0;
  return async () => {
    const now = clock();
    const { credit: before, at } = progress.pace ?? { credit: perSecond, at: now };
    const credit = Math.min(perSecond, before + ((now - at) * perSecond) / 1000) - 1;
    progress.pace = { credit, at: now };
    taken += 1;
    if (taken % atOnce === 0) await othersTurn();
    if (credit < 0) await delay((-credit * 1000) / perSecond);
  };
}
