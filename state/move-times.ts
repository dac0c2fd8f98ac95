// The wall clock was set: times that were written before it move along.
import type { Draft } from 'immer';
import type { State } from './store.ts';

/** Moves every time of the status and of the runtime's conditions by so many ms. */
export function moveTimes({ status, conditions }: Draft<State>, by: number): void {
  const moved = (time: string): string => new Date(Date.parse(time) + by).toISOString();
  for (const container of Object.values(status.containers)) {
    container.since = moved(container.since);
    if (container.nextRestart !== null) container.nextRestart = moved(container.nextRestart);
    for (const condition of container.conditions) condition.lastTransition = moved(condition.lastTransition);
  }
  for (const condition of conditions.values()) condition.since = moved(condition.since);
  for (const condition of status.conditions) condition.since = moved(condition.since);
  const { last } = status.sleep;
  if (last !== null) Object.assign(last, { since: moved(last.since), until: moved(last.until) });
}
