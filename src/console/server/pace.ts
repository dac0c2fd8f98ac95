// Requests per second: more are delayed, not refused. And in turn: whoever sends many at once waits for the others.
import { setImmediate as othersTurn, setTimeout as delay } from 'node:timers/promises';

/** Requests that a connection may have answered before everybody else who has said something gets a turn. */
const atOnce = 8;

/** Gives a function that resolves at once as long as it is called at most `perSecond` times a second, else when its turn has come. */
export function createPace(perSecond: number): () => Promise<void> {
  let credit = perSecond;
  let last = performance.now();
  let taken = 0;
  return async () => {
    const now = performance.now();
    credit = Math.min(perSecond, credit + ((now - last) * perSecond) / 1000) - 1;
    last = now;
    taken += 1;
    if (taken % atOnce === 0) await othersTurn();
    if (credit < 0) await delay((-credit * 1000) / perSecond);
  };
}
