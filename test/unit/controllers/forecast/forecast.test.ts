import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forecast } from '../../../../controllers/forecast/forecast.ts';
import type { ContainerEntry } from '../../../../state/desired.ts';
import type { Observed, ObservedAttempt } from '../../../../state/observed.ts';
import { emptyState, type State } from '../../../../state/store.ts';
import { attempt, mountOf, packageOf, target } from '../../../support/views.ts';

const hierarchies = {
  legacy: new Map(),
  unified: null,
  unifiedControllers: new Set<never>(),
  others: [],
  swappiness: '60',
  pageSize: 4096,
  mostProcesses: null,
};

function lines(state: State, packageAt = (_source: string) => packageOf('2.0.0')): string[] {
  const steps = forecast(state, { hierarchies, defaultRepository: 'system', packageAt, fetchOf: () => null, now: 0 });
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
