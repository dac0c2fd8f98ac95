// What --wait judges: the entries that a generation has changed, and never an end with an error as an arrival.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Left } from '../../../../controllers/failure.ts';
import { reachedOf } from '../../../../controllers/status/reached.ts';
import type { ContainerEntry } from '../../../../state/desired.ts';
import type { ObservedAttempt } from '../../../../state/observed.ts';
import type { Exit } from '../../../../state/signals.ts';
import type { Condition, ContainerStatus } from '../../../../state/status.ts';
import { emptyState, type State } from '../../../../state/store.ts';
import { attempt, target } from '../../../support/views.ts';

interface Given {
  readonly entry?: Partial<ContainerEntry>;
  readonly phase: ContainerStatus['phase'];
  readonly ready?: Partial<Condition>;
  readonly exit?: Exit;
  readonly fault?: boolean;
}

function entryOf(name: string, entry: Partial<ContainerEntry> = {}): ContainerEntry {
  return {
    ...target('running', '1.0.0', null, { ...entry, key: name, name, generation: entry.generation ?? 5 }).entry,
  };
}

function stateOf(all: Readonly<Record<string, Given>>): State {
  const state = emptyState();
  const containers = new Map(Object.entries(all).map(([name, { entry }]) => [name, entryOf(name, entry)]));
  const statuses = Object.entries(all).map(([name, { phase, ready, exit }]) => {
    const condition = { type: 'Ready', status: 'False', reason: phase, message: '', ...ready } as Condition;
    const desired = containers.get(name)?.state ?? 'running';
    return [name, { desired, phase, lastExit: exit ?? null, conditions: [condition] } as unknown as ContainerStatus];
  });
  const attempts = Object.entries(all).flatMap(([name, { exit, fault }]): [string, ObservedAttempt[]][] => {
    if (exit === undefined) return [];
    const done = attempt(1, '1.0.0', 'exited');
    const stop = fault === true ? ({ deadline: 0, killed: false, fault: 'TimedOut' } as const) : null;
    return [[name, [{ ...done, name, exit, record: { ...done.record, stop } }]]];
  });
  return {
    ...state,
    desired: { ...state.desired, containers },
    observed: { ...state.observed, attempts: new Map(attempts) },
    status: { ...state.status, containers: Object.fromEntries(statuses) as Record<string, ContainerStatus> },
  };
}

const never = { restart: { policy: 'never', backoff: 500, maxBackoff: 500, resetAfter: 500, limit: 0 } } as const;
const ready = { status: 'True', reason: 'Running' } as const;

function judged(all: Readonly<Record<string, Given>>, generation: number | null = 5, left: [string, Left][] = []) {
  return reachedOf({ state: stateOf(all), left: new Map(left) }, generation);
}

test('what runs is reached when it is ready, and not before', () => {
  assert.deepEqual(judged({ app: { phase: 'Running', ready } }), { result: 'converged', reason: null });
  const settling = { reason: 'Settling', message: 'it is ready when it has run for 2000 ms' } as const;
  assert.deepEqual(judged({ app: { phase: 'Running', ready: settling } }), {
    result: 'moving',
    reason: 'app: Running, it is ready when it has run for 2000 ms',
  });
});

test('a run that nothing answers is reached when it has ended with 0', () => {
  assert.equal(judged({ job: { phase: 'Exited', exit: { code: 0 }, entry: never } }).result, 'converged');
  const seven = { message: 'ended with exit code 7; another run starts it again' };
  assert.deepEqual(judged({ job: { phase: 'Exited', exit: { code: 7 }, ready: seven, entry: never } }), {
    result: 'failed',
    reason: 'job: ended with exit code 7; another run starts it again',
  });
  assert.equal(judged({ job: { phase: 'Exited', exit: { signal: 9 }, entry: never } }).result, 'failed');
  assert.equal(judged({ job: { phase: 'Failed', exit: { code: 0 }, fault: true, entry: never } }).result, 'failed');
});

test('in backoff is not reached, and at the limit it has failed', () => {
  const backoff = judged({ app: { phase: 'Backoff', ready: { message: 'ended with exit code 7' } } });
  assert.deepEqual(backoff, { result: 'moving', reason: 'app: Backoff, ended with exit code 7' });
  const limit = { reason: 'RestartLimit', message: 'ended with exit code 7 and has been restarted 3 times' } as const;
  assert.equal(judged({ app: { phase: 'Failed', ready: limit } }).result, 'failed');
});

test('only what the generation has changed counts, and no run of a console', () => {
  const other = { phase: 'Exited', exit: { code: 1 }, entry: { ...never, generation: 4 } } as const;
  assert.equal(judged({ app: { phase: 'Running', ready }, other }).result, 'converged');
  assert.equal(judged({ app: { phase: 'Running', ready }, other }, null).result, 'failed');
  const console = { ...other, entry: { ...other.entry, changedBy: 'console' } } as const;
  assert.equal(judged({ app: { phase: 'Running', ready }, console }, null).result, 'converged');
});

test('who waits for something else says what has become of that', () => {
  const waits = { reason: 'WaitingForDependency', message: 'job (succeeded)' } as const;
  const app: Given = { phase: 'Starting', ready: waits, entry: { dependsOn: new Map([['job', 'succeeded']]) } };
  const job: Given = {
    phase: 'Exited',
    exit: { code: 1 },
    ready: { message: 'ended with exit code 1' },
    entry: { ...never, generation: 4 },
  };
  const start: Left = { steps: [{ op: 'go', name: 'app', waits: 'not succeeded yet: job' }], failures: [] };
  assert.deepEqual(judged({ app, job }, 5, [['app', start]]), {
    result: 'failed',
    reason: 'app waits for job (succeeded); job: ended with exit code 1',
  });
  const runs: Given = { phase: 'Running', ready, entry: { generation: 4 } };
  assert.equal(judged({ app, job: runs }, 5, [['app', start]]).result, 'moving');
});

test('who waits for the readiness of a paused run is told that nobody asks it', () => {
  const waits = { reason: 'WaitingForDependency', message: 'broker (ready)' } as const;
  const app: Given = { phase: 'Starting', ready: waits, entry: { dependsOn: new Map([['broker', 'ready']]) } };
  const start: Left = { steps: [{ op: 'go', name: 'app', waits: 'not ready yet: broker' }], failures: [] };
  const judge = (entry: Partial<ContainerEntry>): ReturnType<typeof reachedOf> => {
    const broker: Given = { phase: 'Running', ready: { reason: 'Paused' }, entry: { ...entry, paused: true } };
    const state = stateOf({ app, broker });
    const run = { ...attempt(1, '1.0.0', 'running'), name: 'broker' };
    const observed = { ...state.observed, attempts: new Map([['broker', [run]]]) };
    return reachedOf({ state: { ...state, observed }, left: new Map([['app', start]]) }, 5);
  };
  const asked = { ready: 'notify', within: null, alive: null, watchdog: null } as const;
  assert.deepEqual(judge({ health: asked }), {
    result: 'failed',
    reason: 'app waits for broker (ready); broker is paused before it was ready',
  });
  // Time alone makes it ready.
  assert.equal(judge({ health: null, settle: 2000 }).result, 'moving');
});

test('what runs and is not ready yet is named as that', () => {
  const app: Given = { phase: 'Running', ready: { reason: 'NotReady', message: '' } };
  assert.deepEqual(judged({ app }), { result: 'moving', reason: 'app: Running, not ready yet' });
});

test('a replacement that waits for a dependency is no failure as long as that comes', () => {
  const gate = (op: string) => ({ op, name: 'app', waits: 'not ready yet: broker', gated: true as const });
  const left: [string, Left][] = [['app', { steps: [gate('go'), gate('signal')], failures: [] }]];
  const app: Given = { phase: 'Running', ready, entry: { dependsOn: new Map([['broker', 'ready']]) } };
  const settling: Given = { phase: 'Running', ready: { reason: 'Settling', message: 'a moment' } };
  assert.deepEqual(judged({ app, broker: settling }, 5, left), {
    result: 'moving',
    reason: 'app waits for broker; broker: Running, a moment',
  });
  assert.equal(judged({ app, broker: { phase: 'Failed' } }, 5, left).result, 'failed');
  const other = { op: 'prepare', name: 'app', waits: 'app:2.0.0 is not installed' };
  const mixed: [string, Left][] = [['app', { steps: [other, gate('go')], failures: [] }]];
  assert.equal(judged({ app, broker: settling }, 5, mixed).result, 'failed');
});

test('what waits for something that nothing brings about has failed; what is tried again has not', () => {
  const app: Given = { phase: 'Absent', ready: { reason: 'WaitingForPackage', message: 'app is not installed' } };
  const step = { op: 'prepare', name: 'app', waits: 'app is not installed' };
  assert.equal(judged({ app }, 5, [['app', { steps: [step], failures: [] }]]).result, 'failed');
  const failure = { op: 'install', reason: 'StepFailed', subject: null, message: 'no', count: 1, retryAt: 9 } as const;
  assert.equal(judged({ app }, 5, [['app', { steps: [step], failures: [failure] }]]).result, 'moving');
});

test('steps that wait for a start or an end that is under way are no failure', () => {
  const umount = {
    steps: [{ op: 'umount', name: 'app', waits: 'in use by attempt 1' }],
    failures: [],
  } as unknown as Left;
  const judge = (...attempts: readonly ObservedAttempt[]): string => {
    const state = stateOf({ app: { phase: 'Running', ready } });
    const observed = { ...state.observed, attempts: new Map([['app', [...attempts]]]) };
    return reachedOf({ state: { ...state, observed }, left: new Map([['app', umount]]) }, 5).result;
  };
  const before = attempt(1, '1.0.0', 'running');
  const stopping = { ...before, record: { ...before.record, stop: { deadline: 9, killed: false } } };
  const next = attempt(2, '1.1.0', 'prepared');
  assert.equal(judge(stopping, attempt(2, '1.1.0', 'running')), 'moving');
  assert.equal(judge(attempt(1, '1.0.0', 'exited'), { ...next, going: true }), 'moving');
  assert.equal(judge(before, { ...next, going: false }), 'failed');
});
