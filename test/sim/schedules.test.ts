// Schedules in virtual time: none runs twice or is lost, and never two at once.
import { test } from 'node:test';
import { simulateSchedule } from './sim-schedules.ts';

test('whatever dies, sleeps or sets the clock, what is due runs once, one at a time, and what was missed as it was asked for', async () => {
  for (let seed = 1; seed <= 60; seed += 1) await simulateSchedule(seed);
});
