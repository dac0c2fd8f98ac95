// The chain of what is unmet: which link a step belongs to is known by its op, whatever its sentence says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Unsettled } from '../../../../controllers/failure.ts';
import { unmetOf } from '../../../../controllers/status/explain.ts';
import type { ContainerStatus } from '../../../../state/status.ts';
import { emptyState } from '../../../../state/store.ts';
import { attempt, target } from '../../../support/views.ts';

const status = {
  version: '1.0.0',
  desired: 'running',
  phase: 'Failed',
  mounted: false,
  pid: null,
  conditions: [{ type: 'Ready', status: 'False', reason: 'Starting', message: 'the image is not mounted' }],
} as unknown as ContainerStatus;

function explained(left: readonly Unsettled[]) {
  const state = emptyState();
  return unmetOf({ ...state, status: { ...state.status, containers: { app: status } } }, 'app', () => left);
}

test('a step of the image belongs to the image, a step of the start to the start', () => {
  const unmet = explained([
    { op: 'mount', text: 'mount failed: no loop device', by: [] },
    { op: 'go', text: 'go waits: the image is not mounted', by: [] },
    { op: 'mount', text: 'mount waits: broker:1.0.0 is not installed', by: ['broker'] },
  ]);
  assert.equal(unmet?.message, 'the image is not mounted; go waits: the image is not mounted');
  assert.deepEqual(
    unmet.because.map((link) => [link.unmet, link.message]),
    [['Mounted', 'mount failed: no loop device']],
  );
});

test('a sentence that begins like a step of the image is none', () => {
  const unmet = explained([{ op: null, text: 'mount points of the image are missing: it could not start', by: [] }]);
  assert.match(unmet?.message ?? '', /mount points of the image are missing/);
  assert.deepEqual(
    unmet?.because.map(({ message }) => message),
    [''],
  );
});

test('a paused run that was not found ready is named to who waits for that', () => {
  const asked = { ready: 'notify', within: null, alive: null, watchdog: null } as const;
  const because = (readyAt: number | null) => {
    const { entry } = target('running', '1.0.0', null, { key: 'broker', name: 'broker', paused: true, health: asked });
    const app = target('running', '1.0.0', null, { dependsOn: new Map([['broker', 'ready']]) }).entry;
    const run = attempt(1, '1.0.0', 'running');
    const paused = { type: 'Ready', status: 'False', reason: 'Paused', message: 'its processes are frozen' };
    const broker = { ...status, phase: 'Running', mounted: true, pid: 1, conditions: [paused] };
    const state = emptyState();
    const containers = new Map([
      ['app', app],
      ['broker', entry],
    ]);
    const attempts = new Map([['broker', [{ ...run, health: { ...run.health, readyAt } }]]]);
    const statuses = { app: { ...status, mounted: true }, broker } as unknown as Record<string, ContainerStatus>;
    const looked = {
      ...state,
      desired: { ...state.desired, containers },
      observed: { ...state.observed, attempts },
      status: { ...state.status, containers: statuses },
    };
    return unmetOf(looked, 'app', () => [])?.because.map((link) => [link.container, link.unmet, link.reason]);
  };
  assert.deepEqual(because(null), [['broker', 'Ready', 'Paused']]);
  assert.deepEqual(because(1), []);
});
