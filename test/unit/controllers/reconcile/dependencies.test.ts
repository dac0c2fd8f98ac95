// The gates of a start: what runs, what is ready, what has ended well.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gatesOf, partnersOf } from '../../../../controllers/reconcile/dependencies.ts';
import { footprintOf, noFootprint, type Footprint } from '../../../../controllers/reconcile/footprint.ts';
import type { ContainerEntry, Dependency } from '../../../../state/desired.ts';
import { attempt, packageOf, target } from '../../../support/views.ts';

const never = { policy: 'never', backoff: 500, maxBackoff: 500, resetAfter: 500, limit: 0 } as const;

function entry(dependsOn: Readonly<Record<string, Dependency>>, fields: Partial<ContainerEntry> = {}): ContainerEntry {
  return target('running', '1.0.0', null, { dependsOn: new Map(Object.entries(dependsOn)), ...fields }).entry;
}

function footprint(fields: Partial<ContainerEntry>, ...attempts: ReturnType<typeof attempt>[]): Footprint {
  const wanted = target('running', '1.0.0', packageOf('1.0.0'), fields);
  return footprintOf([wanted], { attempts, ran: null }, false);
}

test('ready opens when it has run for its time to settle, which the clock brings', () => {
  const broker = footprint({ settle: 2000 }, { ...attempt(1, '1.0.0'), startedAt: 500 });
  const of = () => broker;
  assert.deepEqual(gatesOf(entry({ broker: 'running' }), of, 500), { down: [], opensAt: null });
  assert.deepEqual(gatesOf(entry({ broker: 'ready' }), of, 500), { down: ['broker'], opensAt: 2500 });
  assert.deepEqual(gatesOf(entry({ broker: 'ready' }), of, 2500), { down: [], opensAt: null });
});

test('succeeded opens when the run has ended with 0, and nothing answers that', () => {
  const done = (exit: { code: number }, policy: 'never' | 'always' = 'never') =>
    footprint({ restart: { ...never, policy } }, { ...attempt(1, '1.0.0', 'exited'), exit });
  const down = (found: Footprint) => gatesOf(entry({ job: 'succeeded' }), () => found, 0).down;
  assert.deepEqual(down(done({ code: 0 })), []);
  assert.deepEqual(down(done({ code: 1 })), ['job']);
  assert.deepEqual(down(done({ code: 0 }, 'always')), ['job']);
  assert.deepEqual(down(footprint({ restart: never }, attempt(1, '1.0.0'))), ['job'], 'it still runs');
  assert.deepEqual(down(noFootprint), ['job']);
});

test('a run that was ended for what it did has not succeeded, however it ended', () => {
  const ended = attempt(1, '1.0.0', 'exited');
  const stop = { deadline: 0, killed: false, fault: 'TimedOut' } as const;
  const job = footprint({ restart: never }, { ...ended, exit: { code: 0 }, record: { ...ended.record, stop } });
  assert.deepEqual(gatesOf(entry({ job: 'succeeded' }), () => job, 0).down, ['job']);
});

test('the partner of a container is the run that has begun last', () => {
  const run = (id: number) => ({ ...attempt(id, '1.0.0'), startedAt: id });
  const of = () => footprint({}, run(3), { ...run(4), startedAt: 0, state: 'prepared' as const });
  assert.deepEqual(partnersOf(entry({ a: 'running' }, { restartWith: ['a'] }), of), new Map([['a', 3]]));
});
