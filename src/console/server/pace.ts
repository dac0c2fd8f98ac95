// Requests per second: more are delayed, not refused. And in turn: whoever sends many at once waits for the others.
import { setImmediate as othersTurn, setTimeout as delay } from 'node:timers/promises';
import type { Progress } from './channel.ts';
import { monotonic } from '../../../state/monotonic.ts';

/** Requests that a connection may have answered before everybody else who has said something gets a turn. */
const atOnce = 8;
/** The same of those that take microseconds. */
const quickAtOnce = 64;

/** A clock that goes on from another one, which costs a system call: what passes in a suspend it does not see. */
export function cheapClock(clock: () => number): () => number {
  const distance = clock() - monotonic();
  return () => monotonic() + distance;
}

/**
 * Gives a function that gives null as long as it is called at most `perSecond` times a second, else what resolves when its turn
 * has come; it is told whether the request is a quick one. How much of that is used up stands in `progress`; `clock` is CLOCK_BOOTTIME in ms.
 */
export function createPace(
  perSecond: number,
  progress: Pick<Progress, 'pace'>,
  clock: () => number,
): (isQuick?: boolean) => Promise<void> | null {
  let taken = 0;
  return (isQuick = false) => {
    const now = clock();
    const { credit: before, at } = progress.pace ?? { credit: perSecond, at: now };
    const credit = Math.min(perSecond, before + ((now - at) * perSecond) / 1000) - 1;
    progress.pace = { credit, at: now };
    taken += isQuick ? atOnce / quickAtOnce : 1;
    const isOthersTurn = taken >= atOnce;
    if (isOthersTurn) taken = 0;
    if (credit < 0) return delay((-credit * 1000) / perSecond);
    return isOthersTurn ? othersTurn() : null;
  };
}
