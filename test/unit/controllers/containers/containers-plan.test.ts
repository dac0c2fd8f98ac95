import assert from 'node:assert/strict';
import { test } from 'node:test';
import { madeOf } from '../../../../controllers/containers/candidate.ts';
import { decide, plan, type ContainerStep } from '../../../../controllers/containers/containers-plan.ts';
import type { Target, View } from '../../../../controllers/controller.ts';
import type { ObservedAttempt } from '../../../../state/observed.ts';
import { attempt, lines, mountOf, packageOf, target, view } from '../../../support/views.ts';

const wants = (version = '1.0.0', entry: Partial<Target['entry']> = {}) =>
  target('running', version, packageOf(version), entry);

/** A view of an installed and mounted package whose entry wants it to run. */
function running(fields: Partial<View> = {}, goal: Target = wants()): View {
  const version = goal.version ?? '1.0.0';
  return view({ targets: [goal], packages: [packageOf(version)], mounts: [mountOf(version)], now: 1000, ...fields });
}

/** A sandbox that is ready for the target of a view. */
function ready(of: View, id: number, fields: Partial<ObservedAttempt> = {}): ObservedAttempt {
  const goal = of.targets[0]!;
  const base = attempt(id, goal.version!, 'prepared');
  return { ...base, record: { ...base.record, entry: goal.replacing, made: madeOf(of, goal)! }, ...fields };
}

/** An instance that has ended. */
function ended(
  id: number,
  exit: ObservedAttempt['exit'],
  fields: Partial<ObservedAttempt['record']> = {},
): ObservedAttempt {
  const base = attempt(id, '1.0.0', 'exited');
  return { ...base, startedAt: 100, exitedAt: 900, exit, record: { ...base.record, ...fields } };
}

function told(steps: readonly ContainerStep[]): string[] {
  return lines(steps, (step) => {
    if (step.op === 'prepare' || step.op === 'start') return `${step.op} ${step.version}`;
    if (step.op === 'go') return step.after === 0 ? `go ${step.id}` : `go ${step.id} after ${step.after}`;
    if (step.op === 'note') return `note ${JSON.stringify(step.ran)}`;
    return `${step.op} ${step.id}`;
  });
}

const planned = (of: View) => told(plan(of));
const noted = { run: null, exit: null, attempt: 7 };

test('a container that should run is given a sandbox and started in one step', () => {
  assert.deepEqual(planned(running()), ['start 1.0.0']);
});

test('one that is mounted with prepare gets the sandbox only', () => {
  const goal = target('mounted', '1.0.0', packageOf('1.0.0'), { prepare: true });
  assert.deepEqual(planned(running({}, goal)), ['prepare 1.0.0']);
});

test('a sandbox that is ready is started', () => {
  const of = running();
  assert.deepEqual(planned({ ...of, attempts: [ready(of, 7)] }), ['go 7']);
});

test('nothing is prepared before the image is mounted, and the step names it', () => {
  assert.deepEqual(planned(running({ mounts: [] })), [
    'prepare 1.0.0, waits: app:1.0.0 is not mounted',
    'go 0, waits: its sandbox is not prepared',
  ]);
});

test('an image of another file than the installed one is not used', () => {
  const stale = mountOf('1.0.0', { backing: { dev: 1, ino: 99 } });
  assert.match(planned(running({ mounts: [stale] }))[0]!, /an older file of app:1\.0\.0 is still mounted/);
});

test('a package whose digest is not the one asked for is never prepared', () => {
  const goal = wants('1.0.0', { digest: 'sha256:aa' });
  assert.match(planned(running({}, goal))[0]!, /is not known to have sha256:aa/);
});

test('a start waits for what it depends on; its sandbox does not', () => {
  const of = running({ dependenciesDown: ['broker'] });
  assert.deepEqual(planned(of)[0], 'prepare 1.0.0');
  assert.deepEqual(planned({ ...of, attempts: [ready(of, 7)] }), ['go 7, waits: not running yet: broker']);
});

test('a start that an earlier reconciler asked for is waited for, and nothing else is started beside it', () => {
  const of = running();
  const going = ready(of, 7, { state: 'preparing', going: true });
  assert.deepEqual(planned({ ...of, attempts: [going] }), []);
  const other = running({ attempts: [going] }, wants('2.0.0'));
  assert.deepEqual(planned(other), ['discard 7', 'prepare 2.0.0', 'go 0, waits: its sandbox is not prepared']);
  assert.deepEqual(planned({ ...other, attempts: [going, ready(other, 8)] }), [
    'discard 7',
    'go 8, waits: attempt 7 is not discarded',
  ]);
});

test('what runs as it should needs nothing', () => {
  assert.deepEqual(planned(running({ attempts: [attempt(7, '1.0.0')], ran: noted })), []);
});

test('that it has run is noted for the rest of the boot', () => {
  assert.deepEqual(planned(running({ attempts: [attempt(7, '1.0.0')] })), [
    'note {"run":null,"exit":null,"attempt":7}',
  ]);
});

test('a sandbox that was made from something else is discarded', () => {
  const of = running();
  const other = ready(of, 7, { record: { ...attempt(7, '1.0.0').record, made: 'from something else' } });
  assert.deepEqual(planned({ ...of, attempts: [other] })[0], 'discard 7');
});

test('a sandbox is discarded when its image has been mounted anew', () => {
  const of = running();
  const made = ready(of, 7);
  assert.deepEqual(planned({ ...of, mounts: [mountOf('1.0.0', { mountId: 101 })], attempts: [made] })[0], 'discard 7');
});

test('an entry that is gone stops its container with the signal that it had', () => {
  const [step] = plan(view({ attempts: [attempt(7, '1.0.0')], ran: noted }));
  assert.deepEqual(step, { op: 'signal', name: 'app', id: 7, signal: 15, grace: 10_000, waits: null });
});

test('those that depend on a container stop before it', () => {
  const of = view({ attempts: [attempt(7, '1.0.0')], ran: noted, dependentsUp: ['user'] });
  assert.deepEqual(planned(of), ['signal 7, waits: still running: user']);
});

test('a stop that has begun is not repeated, and ends with a kill at its deadline', () => {
  const base = attempt(7, '1.0.0');
  const stopping = { ...base, record: { ...base.record, stop: { deadline: 5000, killed: false } } };
  const before = decide(view({ attempts: [stopping], ran: noted, now: 4000 }));
  assert.deepEqual(told(before.steps), []);
  assert.equal(before.wake, 5000);
  assert.deepEqual(planned(view({ attempts: [stopping], ran: noted, now: 5000 })), ['kill 7']);
});

test('after exactly one signal that was asked for nothing follows', () => {
  const base = attempt(7, '1.0.0');
  const signalled = { ...base, record: { ...base.record, stop: { deadline: null, killed: false } } };
  assert.deepEqual(
    planned(view({ attempts: [signalled], ran: noted, targets: [target('mounted', '1.0.0', null)] })),
    [],
  );
});

test('a shutdown stops what runs and starts nothing', () => {
  const of = running({ stopping: true, attempts: [attempt(7, '1.0.0')], ran: noted });
  assert.deepEqual(planned(of), ['signal 7']);
  assert.deepEqual(planned(running({ stopping: true })), []);
});

test('a replacement is prepared, then armed, and only then is the old instance told to stop', () => {
  const of = running({ ran: noted }, wants('2.0.0'));
  const old = attempt(7, '1.0.0');
  assert.deepEqual(planned({ ...of, attempts: [old] }), [
    'prepare 2.0.0',
    'go 0 after 7, waits: its sandbox is not prepared',
    'signal 7, waits: the next instance is not prepared',
  ]);
  assert.deepEqual(planned({ ...of, attempts: [old, ready(of, 8)] }), [
    'go 8 after 7',
    'signal 7, waits: the next instance is not prepared',
  ]);
  assert.deepEqual(planned({ ...of, attempts: [old, ready(of, 8, { after: 7 })] }), ['signal 7']);
});

test('an armed sandbox is discarded when the entry goes back to what runs', () => {
  const next = running({}, wants('2.0.0'));
  const armed = ready(next, 8, { after: 7 });
  assert.deepEqual(planned(running({ ran: noted, attempts: [attempt(7, '1.0.0'), armed] })), ['discard 8']);
});

test('a replacement that cannot start leaves the old instance alone', () => {
  const of = running({ ran: noted }, wants('2.0.0'));
  const failure = { step: 'exec', code: 'ENOENT', subject: '/app' };
  const failed = ready(of, 8, { state: 'failed', failure });
  const steps = planned({ ...of, attempts: [attempt(7, '1.0.0'), failed] });
  assert.deepEqual(steps, [
    'signal 7, waits: the image of app:2.0.0 has no /app, or not the interpreter that it names (exec: ENOENT)',
  ]);
});

test('what runs is stopped when another entry wants its version deleted and there is no other', () => {
  const absent = { ...target('absent', '1.0.0', packageOf('1.0.0')), key: 'app:1.0.0' };
  const goal = target('running', null, null, { version: '^1' });
  const of = running({ ran: noted, attempts: [attempt(7, '1.0.0')] }, goal);
  const waits = 'signal 7, waits: the next instance is not prepared';
  assert.ok(planned({ ...of, targets: [goal, absent] }).includes('signal 7'));
  assert.ok(planned({ ...of, targets: [goal] }).includes(waits));
  // Another one may come from its source.
  const fetched = target('running', null, null, { version: '^1', source: '/inbox/app.npk' });
  assert.ok(planned({ ...of, targets: [fetched, absent] }).includes(waits));
});

test('an instance that holds the image of an older file of its version ends before the newer is mounted', () => {
  const run = { id: 4, init: null, args: null, env: null };
  const older = mountOf('1.0.0', { backing: { dev: 1, ino: 99 } });
  const of = running({ ran: noted, mounts: [older], attempts: [attempt(7, '1.0.0')] }, wants('1.0.0', { run }));
  assert.ok(planned(of).includes('signal 7'));
  assert.ok(!planned({ ...of, usedBy: new Map([['1.0.0', ['other']]]) }).includes('signal 7'));
});

test('only the newest end is remembered', () => {
  const of = running({ ran: noted, attempts: [ended(5, { code: 1 }), ended(6, { code: 2 }), attempt(7, '1.0.0')] });
  assert.deepEqual(planned(of), ['forget 5']);
});

test('a run that has begun and ended before anybody looked is noted over the one before it', () => {
  const exit = { code: 0 };
  const run = { id: 4, init: null, args: null, env: null };
  const goal = wants('1.0.0', { run, restart: noRestarts });
  const quick = ended(8, exit, { run: 4, entry: goal.replacing });
  const before = { run: 3, exit, attempt: 7 };
  assert.deepEqual(planned(running({ attempts: [quick], ran: before }, goal)), [
    'note {"run":4,"exit":{"code":0},"attempt":8}',
  ]);
  assert.deepEqual(planned(running({ attempts: [quick], ran: { run: 4, exit, attempt: 8 } }, goal)), []);
});

test('a name that nothing asks for keeps nothing', () => {
  assert.deepEqual(planned(view({ attempts: [ended(5, { code: 0 })], ran: noted })), ['forget 5', 'note null']);
});

test('prepare: true keeps a sandbox ready for a mounted entry, and starts nothing', () => {
  const goal = target('mounted', '1.0.0', packageOf('1.0.0'), { prepare: true });
  const of = running({}, goal);
  assert.deepEqual(planned(of), ['prepare 1.0.0']);
  assert.deepEqual(planned({ ...of, attempts: [ready(of, 7)] }), []);
});

test('a resource is never prepared', () => {
  const resource = packageOf('1.0.0', { manifest: { name: 'app', version: '1.0.0', uid: 1, gid: 1 } });
  const goal = target('running', '1.0.0', resource);
  const { steps, verdict } = decide(running({ packages: [resource] }, goal));
  assert.deepEqual(steps, []);
  assert.match(verdict?.kind === 'failed' ? verdict.message : '', /has no init/);
});

const noRestarts = { policy: 'never', backoff: 500, maxBackoff: 500, resetAfter: 500, limit: 0 } as const;

/** Attempt 7 runs since 100, of a target with a timeout. */
function timed(now: number, fields: Partial<Target['entry']> = {}): View {
  const goal = wants('1.0.0', { timeout: 500, ...fields });
  return running({ attempts: [{ ...attempt(7, '1.0.0'), startedAt: 100 }], ran: noted, now }, goal);
}

test('a run that lasts longer than its timeout is told to stop, and what it did is written down', () => {
  assert.deepEqual(planned(timed(599)), []);
  assert.equal(decide(timed(599)).wake, 600);
  const [step] = plan(timed(600));
  assert.deepEqual(step, {
    ...{ op: 'signal', name: 'app', id: 7, signal: 15, grace: 10_000, fault: 'TimedOut', waits: null },
  });
});

test('nothing is prepared beside a run that has failed: what follows is judged by its end', () => {
  const of = timed(700);
  const run = of.attempts[0]!;
  const stop = { deadline: 10_600, killed: false, fault: 'TimedOut' } as const;
  const stopped = { ...of, attempts: [{ ...run, record: { ...run.record, stop } }] };
  assert.deepEqual(planned(stopped), []);
  assert.equal(decide(stopped).wake, 10_600);
  assert.deepEqual(planned({ ...stopped, now: 10_600 }), ['kill 7']);
});

test('a run that was ended for what it did has failed: restart answers, with its backoff', () => {
  const stop = { deadline: 10_600, killed: false, fault: 'TimedOut' } as const;
  const last = ended(7, { code: 0 }, { stop });
  const again = decide(running({ attempts: [last], now: 901 }, wants('1.0.0', { timeout: 500 })));
  assert.equal(again.verdict?.kind, 'backoff');
  const onFailure = { ...noRestarts, policy: 'on-failure' } as const;
  const failing = decide(running({ attempts: [last], now: 901 }, wants('1.0.0', { restart: onFailure })));
  assert.equal(failing.verdict?.kind, 'backoff');
  const over = decide(running({ attempts: [last], ran: noted }, wants('1.0.0', { restart: noRestarts })));
  assert.deepEqual(over.verdict, {
    kind: 'failed',
    reason: 'TimedOut',
    message: 'has run for longer than its timeout and was ended',
  });
});

test('it is looked at again when it is ready', () => {
  const goal = wants('1.0.0', { settle: 2000 });
  const of = running({ attempts: [{ ...attempt(7, '1.0.0'), startedAt: 100 }], ran: noted, now: 200 }, goal);
  assert.equal(decide(of).wake, 2100);
  assert.equal(decide({ ...of, now: 2100 }).wake, null);
});

test('a start that waits for a dependency is looked at when that comes to it by time', () => {
  const goal = wants('1.0.0', { dependsOn: new Map([['broker', 'ready']]) });
  const of = running({ dependenciesDown: ['broker'], opensAt: 2500 }, goal);
  assert.equal(decide(of).wake, 2500);
  const waiting = planned({ ...of, attempts: [ready(of, 7)] });
  assert.deepEqual(waiting, ['go 7, waits: not ready yet: broker']);
});

test('a new run of what restartWith names replaces the container, and nothing else does', () => {
  const goal = wants('1.0.0', { dependsOn: new Map([['broker', 'running']]), restartWith: ['broker'] });
  const beside = (id: number) => ({ ...attempt(7, '1.0.0').record, beside: { broker: id } });
  const of = (then: number) =>
    running(
      { attempts: [{ ...attempt(7, '1.0.0'), record: beside(then) }], partners: new Map([['broker', 3]]), ran: noted },
      goal,
    );
  assert.deepEqual(planned(of(3)), []);
  assert.deepEqual(planned(of(2))[0], 'prepare 1.0.0');
});
