import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forecast } from '../../../../controllers/forecast/forecast.ts';
import type { ContainerEntry } from '../../../../state/desired.ts';
import type { Observed, ObservedAttempt } from '../../../../state/observed.ts';
import { specOf, type Schedule, type ScheduleRecord } from '../../../../state/schedule.ts';
import { emptyState, type State } from '../../../../state/store.ts';
import { attempt, mountOf, noHierarchies as hierarchies, packageOf, target } from '../../../support/views.ts';

function lines(state: State, packageAt = (_source: string) => packageOf('2.0.0')): string[] {
  const nextCron = () => Date.UTC(2026, 1, 2, 3, 30);
  const options = { hierarchies, defaultRepository: 'system', packageAt, fetchOf: () => null, now: 0, nextCron };
  const steps = forecast(state, options);
  return steps.map(({ text, waits }) => (waits === null ? text : `${text}, waits: ${waits}`));
}

function stateOf(entries: readonly ContainerEntry[], observed: Partial<Observed> = {}): State {
  const empty = emptyState();
  const containers = new Map(entries.map((entry) => [entry.key, entry]));
  return { ...empty, desired: { ...empty.desired, containers }, observed: { ...empty.observed, ...observed } };
}

const wants = (version: string | null, fields: Partial<ContainerEntry> = {}) =>
  target('running', version, null, fields).entry;

test('a document on an empty device is installed, mounted, prepared and started, in this order', () => {
  assert.deepEqual(lines(stateOf([wants('2.0.0', { source: '/inbox/app.npk' })])), [
    'install app from /inbox/app.npk into system',
    'mount app:2.0.0',
    'start app:2.0.0',
  ]);
});

test('a new version is prepared before the old one is stopped, and the old image is unmounted last', () => {
  const base = attempt(7, '1.0.0');
  const old: ObservedAttempt = { ...base, record: { ...base.record, entry: 'of version 1.0.0' } };
  const observed = {
    packages: new Map([['app', [packageOf('2.0.0'), packageOf('1.0.0')]]]),
    mounts: new Map([['app', [mountOf('1.0.0')]]]),
    attempts: new Map([['app', [old]]]),
    ran: new Map([['app', { run: null, exit: null, attempt: 1 }]]),
  };
  assert.deepEqual(lines(stateOf([wants('2.0.0')], observed)), [
    'mount app:2.0.0',
    'prepare a sandbox for app:2.0.0',
    'have app:2.0.0 start when app:1.0.0 ends',
    'stop app:1.0.0 (SIGTERM, then SIGKILL after 10000 ms)',
    'unmount app:1.0.0',
  ]);
});

test('what cannot be done is listed last, with what it waits for', () => {
  assert.deepEqual(lines(stateOf([wants('3.0.0')])), [
    'mount app:3.0.0, waits: app:3.0.0 is not installed',
    'prepare a sandbox for app:3.0.0, waits: app:3.0.0 is not installed',
    'start app, waits: its sandbox is not prepared',
  ]);
});

test('a device that is as it should be needs no step', () => {
  assert.deepEqual(lines(stateOf([])), []);
});

test('a limit that the host cannot keep is listed with the reason, and ends no forecast', () => {
  const cgroups = { memory: { oom_monitor: false, memory_hard_limit: 1_000_000 } };
  const observed = {
    packages: new Map([['app', [packageOf('2.0.0')]]]),
    mounts: new Map([['app', [mountOf('2.0.0')]]]),
  };
  assert.deepEqual(lines(stateOf([wants('2.0.0', { cgroups })], observed)), [
    'start app:2.0.0, waits: cgroups: this host has no memory controller in cgroup v1 or v2',
  ]);
});

test('a schedule that is new, another or gone says by what a container will be started, and when first', () => {
  const common = { jitter: 0, missed: 'run' } as const;
  const every: Schedule = { ...common, kind: 'every', every: 900_000 };
  const cron: Schedule = { ...common, jitter: 300_000, kind: 'cron', cron: '30 3 * * *', zone: 'Europe/Berlin' };
  const held = { packages: new Map([['app', [packageOf('1.0.0')]]]), mounts: new Map([['app', [mountOf('1.0.0')]]]) };
  const distance = Date.UTC(2026, 1, 1);
  const planned = (
    schedule: Schedule | null,
    record: ScheduleRecord | null,
    clock = { boot: 'b', distance },
  ): string[] => {
    const schedules = new Map(record === null ? [] : [['app', record]]);
    const state = stateOf([wants('1.0.0', { schedule, state: schedule === null ? 'mounted' : 'running' })], {
      ...held,
      schedules,
    });
    return lines({ ...state, clock }).filter((line) => line.startsWith('start app'));
  };
  assert.deepEqual(planned(every, null), ['start app every 15m, first at once']);
  const waits = 'start app at "30 3 * * *" (Europe/Berlin), up to 5m later, first on 2026-02-02T03:30:00Z (in 1d 3h)';
  assert.deepEqual(planned(cron, null), [waits]);
  const unset = 'start app at "30 3 * * *" (Europe/Berlin), up to 5m later, once the clock has been set';
  assert.deepEqual(planned(cron, null, { boot: 'b', distance: 0 }), [unset]);
  const next = { due: 600_000, at: 600_000 };
  const record = { spec: specOf(every), boot: 'b', next, wall: distance, now: 0, owed: null, serial: 1, last: null };
  assert.deepEqual(planned(every, record), [], 'it is as it was');
  const oftener = { ...every, every: 300_000 };
  assert.deepEqual(planned(oftener, record), ['start app every 5m, first in 5m']);
  assert.deepEqual(planned(null, record), ['start app by no schedule any more']);
});
