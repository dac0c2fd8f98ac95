import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, type Verdict } from '../../../../controllers/containers/restart.ts';
import type { ContainerEntry, RestartPolicy } from '../../../../state/desired.ts';
import type { ObservedAttempt } from '../../../../state/observed.ts';
import type { Exit } from '../../../../state/signals.ts';
import { attempt, packageOf, target, view } from '../../../support/views.ts';

const run = (id: number) => ({ id, init: null, args: null, env: null });

function entry(policy: Partial<RestartPolicy>, fields: Partial<ContainerEntry> = {}) {
  const restart = {
    policy: 'always',
    backoff: 100,
    maxBackoff: 1000,
    resetAfter: 60_000,
    limit: 0,
    ...policy,
  } as const;
  return target('running', '1.0.0', packageOf('1.0.0'), { restart, ...fields });
}

function ended(exit: Exit, record: Partial<ObservedAttempt['record']> = {}, times: Partial<ObservedAttempt> = {}) {
  const base = attempt(7, '1.0.0', 'exited');
  return { ...base, exit, startedAt: 1000, exitedAt: 2000, ...times, record: { ...base.record, ...record } };
}

const after = (goal: ReturnType<typeof entry>, last: ObservedAttempt): Verdict =>
  judge(view({ attempts: [last] }), goal, 'made');

for (const [policy, exit, kind] of [
  ['always', { code: 0 }, 'backoff'],
  ['always', { signal: 9 }, 'backoff'],
  ['on-failure', { code: 0 }, 'exited'],
  ['on-failure', { code: 3 }, 'backoff'],
  ['on-failure', { signal: 11 }, 'backoff'],
  ['never', { code: 0 }, 'exited'],
  ['never', { signal: 9 }, 'exited'],
] as const) {
  test(`restart: ${policy} answers ${JSON.stringify(exit)} with ${kind}`, () => {
    assert.equal(after(entry({ policy }), ended(exit)).kind, kind);
  });
}

test('the backoff doubles up to its cap, and its jitter is the same every time', () => {
  const delays = [0, 1, 2, 3, 4, 5].map((restarts) => {
    const verdict = after(entry({}), ended({ code: 1 }, { restarts }));
    assert.deepEqual(verdict, after(entry({}), ended({ code: 1 }, { restarts })));
    return verdict.kind === 'backoff' ? verdict.at - 2000 : NaN;
  });
  for (const [index, whole] of [100, 200, 400, 800, 1000, 1000].entries()) {
    assert.ok(delays[index]! <= whole && delays[index]! > whole * 0.87, `${delays[index]} of ${whole}`);
  }
});

for (const [what, policy] of [
  ['no backoff', { backoff: 0 }],
  ['a backoff of a millisecond', { backoff: 1, maxBackoff: 1 }],
  ['no backoff, and each run counting as long enough', { backoff: 0, resetAfter: 0 }],
] as const) {
  test(`with ${what} the first restart comes at once, and the further ones are 100 ms apart`, () => {
    const at = (restarts: number) => {
      const verdict = after(entry(policy), ended({ code: 1 }, { restarts }, { startedAt: 1995, exitedAt: 2000 }));
      return verdict.kind === 'backoff' ? verdict.at : NaN;
    };
    assert.ok(at(0) <= 2001, String(at(0)));
    for (const restarts of [1, 2, 40]) assert.equal(at(restarts), 2095);
  });
}

test('one that ran long enough begins anew with the first backoff', () => {
  const verdict = after(entry({ resetAfter: 500 }), ended({ code: 1 }, { restarts: 9 }));
  assert.equal(verdict.kind === 'backoff' && verdict.restarts, 1);
});

test('the limit ends it, with a reason', () => {
  const verdict = after(entry({ limit: 3 }), ended({ code: 1 }, { restarts: 3 }));
  assert.deepEqual(verdict, {
    kind: 'failed',
    reason: 'RestartLimit',
    message: 'ended with exit code 1 and has been restarted 3 times',
  });
});

test('another run starts it whatever the policy says', () => {
  assert.equal(after(entry({ policy: 'never' }, { run: run(2) }), ended({ code: 0 }, { run: 1 })).kind, 'start');
  assert.equal(after(entry({ policy: 'never' }, { run: run(2) }), ended({ code: 0 }, { run: 2 })).kind, 'exited');
});

test('what was stopped on purpose is not judged by its exit', () => {
  const stopped = ended({ signal: 15 }, { stop: { deadline: 1500, killed: false } });
  assert.equal(after(entry({ policy: 'never' }), stopped).kind, 'start');
});

test('a start that failed for lack of memory is tried again, also under restart: never', () => {
  const failure = { step: 'clone', code: 'ENOMEM', subject: '' };
  const failed = ended(
    { code: 0 },
    { made: 'made', entry: 'entry of 1.0.0' },
    { state: 'failed', exit: null, failure },
  );
  assert.equal(after(entry({ policy: 'never' }), failed).kind, 'backoff');
});

test('a start that cannot work is not tried again until what it is made from changes', () => {
  const failure = { step: 'exec', code: 'ENOENT', subject: '/bin/app' };
  const failed = (made: string) =>
    ended({ code: 0 }, { made, entry: 'entry of 1.0.0' }, { state: 'failed', exit: null, failure });
  assert.equal(after(entry({}), failed('made')).kind, 'failed');
  assert.equal(after(entry({}), failed('from something else')).kind, 'start');
});

test('a start that had to do without something of the host is tried again: it may come', () => {
  const failure = { step: 'exec', code: 'ENOENT', subject: '/bin/app' };
  const record = { made: 'made', entry: 'entry of 1.0.0', lacks: ['/tools is not on the host'] };
  const failed = ended({ code: 0 }, record, { state: 'failed', exit: null, failure });
  assert.equal(after(entry({}), failed).kind, 'backoff');
  assert.equal(after(entry({}), { ...failed, record: { ...failed.record, entry: '' } }).kind, 'start');
});

test('within a boot not even the death of the launcher repeats what has run', () => {
  const goal = entry({ policy: 'never' });
  const judged = (ran: { run: number | null; exit: Exit | null } | null, of = goal) =>
    judge(view({ ran: ran === null ? null : { ...ran, attempt: null } }), of, null).kind;
  assert.equal(judged(null), 'start');
  assert.equal(judged({ run: null, exit: null }), 'exited');
  assert.equal(judged({ run: null, exit: null }, entry({ policy: 'always' })), 'start');
  assert.equal(judged({ run: null, exit: { code: 0 } }, entry({ policy: 'on-failure' })), 'exited');
  assert.equal(judged({ run: 1, exit: { code: 0 } }, entry({ policy: 'never' }, { run: run(2) })), 'start');
});

test('a start that is noted and that the same launcher does not know has not come about', () => {
  const judged = (known: number | null) =>
    judge(view({ ran: { run: null, exit: null, attempt: known } }), entry({ policy: 'never' }), null).kind;
  assert.equal(judged(7), 'start');
  assert.equal(judged(null), 'exited');
});

test('a start that is noted and still stands ready has not run yet', () => {
  const attempts = [attempt(7, '1.0.0', 'prepared')];
  const judged = (exit: Exit | null) =>
    judge(view({ attempts, ran: { run: null, exit, attempt: 7 } }), entry({ policy: 'never' }), null);
  assert.equal(judged(null).kind, 'start');
  assert.equal(judged({ code: 0 }).kind, 'exited');
});
