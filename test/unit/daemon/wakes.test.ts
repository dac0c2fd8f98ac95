import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootTime } from '../../../native/clock.ts';
import type { Slept } from '../../../native/wire/launcher-interface.ts';
import type { KeptValue } from '../../../src/daemon/kept-value.ts';
import { recordWake, type Wakes } from '../../../src/daemon/wakes.ts';
import { createStore } from '../../../state/store.ts';

/** Processes one after the other, each woken from a sleep, or (null) started after a death. */
function processes() {
  let kept: Wakes | null = null;
  const value: KeptValue<Wakes> = { get: () => kept, set: (next) => void (kept = next) };
  return {
    /** The last minute is over. */
    rest: () => void (kept = kept === null ? null : { ...kept, recent: kept.recent.map((at) => at - 60_000) }),
    next(rang: Slept['rang'] | null, after: number | null = 0) {
      const slept = rang === null ? null : { since: bootTime() - 1, rang, key: 0 };
      const started = { pid: 1, starts: 2, generation: 1, deaths: 0, startedAt: 0, takeovers: 0 };
      const hello = { ...started, terminating: false, slept, sleeps: 1 };
      const store = createStore();
      const rest = recordWake({ value, hello, store, after });
      return { rest, told: store.get().status.sleep };
    },
  };
}

test('twenty wakes a minute are cheap; each beyond doubles the rest that is asked for, up to ten minutes', () => {
  const { next, rest } = processes();
  const rests = Array.from({ length: 40 }, () => next('watch').rest);
  assert.deepEqual(rests.slice(0, 20), new Array(20).fill(0));
  assert.deepEqual(rests.slice(20, 24), [2000, 4000, 8000, 16_000]);
  assert.deepEqual(rests.slice(-2), [600_000, 600_000]);
  rest();
  assert.equal(next('watch').rest, 0);
});

test('a crash loop is one wake for each exit, and a death of the reconciler none', () => {
  const { next } = processes();
  for (let exit = 0; exit < 3; exit += 1) {
    next('attempt');
    next(null);
  }
  const { told } = next('deadline', 5000);
  assert.deepEqual([told.today, told.reasons, told.last?.reason], [4, { exit: 3, deadline: 1 }, 'deadline']);
});

test('whoever is to stay awake stays so however often it is asked', () => {
  const { next } = processes();
  for (let wake = 0; wake < 30; wake += 1) assert.equal(next('watch', null).rest, null);
});
