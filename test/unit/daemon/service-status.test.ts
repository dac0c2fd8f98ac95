import assert from 'node:assert/strict';
import { test } from 'node:test';
import { followServiceStatus, serviceStatus } from '../../../src/daemon/service-status.ts';
import type { ContainerStatus, Phase } from '../../../state/status.ts';
import { createStore } from '../../../state/store.ts';

const container = (phase: Phase): ContainerStatus => ({
  ...{ version: '1.0.0', repository: 'system', desired: 'running', phase, mounted: true, pid: null, paused: false },
  ...{
    since: '2026-01-01T00:00:00.000Z',
    restarts: 0,
    nextRestart: null,
    lastExit: null,
    schedule: null,
    says: '',
    conditions: [],
  },
});

test('the status of the service names what is waited for, and is told when it is another', () => {
  const store = createStore();
  const told: string[] = [];
  followServiceStatus(store, (text) => told.push(text));
  const set = (key: string, phase: Phase): void =>
    void store.update(({ status }) => Object.assign(status.containers, { [key]: container(phase) }));
  set('broker', 'Starting');
  set('broker', 'Running');
  set('maps/a:1.0.0', 'Installed');
  store.update(({ status }) => Object.assign(status.containers['broker'] ?? {}, { restarts: 3 }));
  set('maps/a:1.0.0', 'Running');
  set('broker', 'Backoff');
  store.update(({ status }) => {
    delete status.containers['maps/a:1.0.0'];
    Object.assign(status.document, { status: 'invalid' });
  });
  assert.deepEqual(told, [
    'Running: 0 containers run',
    'Running: 0 containers run; waits for broker (Starting)',
    'Running: 1 container runs',
    'Running: 1 container runs; waits for maps/a:1.0.0 (Installed)',
    'Running: 2 containers run',
    'Running: 1 container runs; waits for broker (Backoff)',
    'Running: 0 containers run; the document is invalid; waits for broker (Backoff)',
  ]);
});

test('it has room for 512 bytes', () => {
  const waiting = new Map(Array.from({ length: 90 }, (_, index) => [`container-${index}`, 'Starting']));
  const document = { status: 'ok', generation: 1, error: null } as const;
  const text = serviceStatus({ document }, 0, waiting);
  assert.equal(text.length, 512);
  assert.match(text, /^Running: 0 containers run; waits for container-0 \(Starting\), .*\.\.\.$/);
});
