// When a command has failed for good, and as which error of the console.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effectOf } from '../../../src/runtime/command-effect.ts';
import { RuntimeError } from '../../../src/runtime/runtime.ts';
import type { Condition, ContainerStatus } from '../../../state/status.ts';
import { emptyState, type State } from '../../../state/store.ts';

function failedWith(conditions: readonly Partial<Condition>[]): State {
  const state = emptyState();
  const status = { phase: 'Failed', conditions } as unknown as ContainerStatus;
  return { ...state, status: { ...state.status, containers: { app: status } } };
}

function errorOf(conditions: readonly Partial<Condition>[]): RuntimeError {
  const state = failedWith(conditions);
  const effect = effectOf({ type: 'mount', container: 'app:1.0.0' }, state)(state);
  assert.ok(effect instanceof RuntimeError);
  return effect;
}

test('a resource without the directory is an error of its own, known by the reason and not by the sentence', () => {
  const ready = { type: 'Ready', status: 'False', reason: 'StartFailed', message: 'in whatever words' } as const;
  const degraded = { type: 'Degraded', status: 'True', reason: 'MissingResource', message: 'the same' } as const;
  const error = errorOf([ready, { ...degraded, subject: 'data:1.1.0' }]);
  assert.equal(error.reason, 'start_container_missing_resource');
  assert.deepEqual(error.detail, { container: 'app:1.0.0', resource: 'data', version: '1.1.0' });
});

test('what only sounds like one is a start that failed', () => {
  const message = 'the resource data:1.1.0 has no directory /x';
  assert.equal(
    errorOf([{ type: 'Ready', status: 'False', reason: 'StartFailed', message }]).reason,
    'start_container_failed',
  );
});
