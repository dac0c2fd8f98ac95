// Times that were written before the wall clock was set.
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { test } from 'node:test';
import { bootTime } from '../../../native/clock.ts';
import { clockKey, openWallClock } from '../../../src/daemon/wall-clock.ts';
import { createStore } from '../../../state/store.ts';
import { createStanding } from '../../../state/standing.ts';
import type { ContainerStatus } from '../../../state/status.ts';

const year = (time: string | null | undefined): number => new Date(time ?? '').getUTCFullYear();

test('what an earlier process wrote in 1970 is moved when the clock has been set since, and later times are right', async () => {
  const kept = { distance: 0 };
  const clock = openWallClock({ get: () => kept.distance, set: (value) => void (kept.distance = value) });
  const store = createStore();
  const log = { info: () => undefined, warn: () => undefined };
  createStanding(store, log, () => clock.text(bootTime()))('NotWatched', '/x', 'no watch is left');
  const began = bootTime();
  assert.equal(year(clock.text(began)), 1970);
  const at = clock.text(began);
  const ready = { type: 'Ready', status: 'True', reason: 'Running', message: '', generation: 1, lastTransition: at };
  store.update(({ status }) => {
    status.containers['app'] = { since: at, nextRestart: at, conditions: [ready] } as unknown as ContainerStatus & {
      conditions: never[];
    };
  });

  const watched: number[] = [];
  const launcher = {
    watch: async (key: number, _kind: string, fd: number) => {
      watched.push(key);
      closeSync(fd);
    },
    rearm: async () => undefined,
  };
  const before = Date.now();
  await clock.follow(store, launcher, (error) => assert.fail(String(error)));
  assert.deepEqual(watched, [clockKey]);
  const { status, conditions } = store.get();
  const app = status.containers['app'];
  const times = [
    app?.since,
    app?.nextRestart,
    app?.conditions[0]?.lastTransition,
    ...[...conditions.values()].map(({ since }) => since),
  ];
  assert.equal(times.length, 4);
  for (const time of times) assert.ok(Math.abs(Date.parse(String(time)) - before) < 60_000, String(time));
  assert.ok(Math.abs(clock.at(began) - before) < 60_000);
  assert.ok(Math.abs(kept.distance - (Date.now() - bootTime())) < 60_000);
});

test('a distance that only two readings make moves nothing', async () => {
  const distance = Date.now() - bootTime() + 5;
  const clock = openWallClock({ get: () => distance, set: () => assert.fail('nothing was set') });
  assert.equal(clock.at(1000), distance + 1000);
  const store = createStore();
  const before = store.get();
  const launcher = {
    watch: async (_key: number, _kind: string, fd: number) => closeSync(fd),
    rearm: async () => undefined,
  };
  await clock.follow(store, launcher, (error) => assert.fail(String(error)));
  assert.equal(store.get(), before);
});
