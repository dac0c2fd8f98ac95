// Requests per second: more are delayed, not refused.
import { setTimeout as delay } from 'node:timers/promises';

/** Gives a function that resolves at once as long as it is called at most `perSecond` times a second, else when its turn has come. */
export function createPace(perSecond: number): () => Promise<void> {
  let credit = perSecond;
  let last = performance.now();
  return async () => {
    const now = performance.now();
    credit = Math.min(perSecond, credit + ((now - last) * perSecond) / 1000) - 1;
    last = now;
    if (credit < 0) await delay((-credit * 1000) / perSecond);
  };
}
