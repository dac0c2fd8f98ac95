import assert from 'node:assert/strict';
import { test } from 'node:test';
import { madeOf } from '../../../../controllers/containers/candidate.ts';
import type { Target, View } from '../../../../controllers/controller.ts';
import { criticalEnd, explainName, isUnsettled, statusOf } from '../../../../controllers/status/container-status.ts';
import type { ObservedAttempt } from '../../../../state/observed.ts';
import type { ConditionType, ContainerStatus } from '../../../../state/status.ts';
import { attempt, mountOf, packageOf, target, view } from '../../../support/views.ts';
import { type StepFailure, unsettledText } from '../../../../controllers/failure.ts';

const nothing = { steps: [], failures: [] };
const wallClock = (boot: number) => new Date(boot).toISOString();

function statusIn(
  of: View,
  left: Parameters<typeof statusOf>[1] = nothing,
  before: Record<string, ContainerStatus> = {},
) {
  return statusOf(of, left, before, wallClock).get('app')!;
}

function wanted(fields: Partial<View> = {}, entry: Partial<Target['entry']> = {}): View {
  const found = packageOf('1.0.0');
  return view({
    targets: [target('running', '1.0.0', found, entry)],
    packages: [found],
    mounts: [mountOf('1.0.0')],
    ...fields,
  });
}

function ended(exit: ObservedAttempt['exit'], record: Partial<ObservedAttempt['record']> = {}): ObservedAttempt {
  const base = attempt(7, '1.0.0', 'exited');
  return { ...base, exit, startedAt: 1000, exitedAt: 2000, record: { ...base.record, ...record } };
}

test('what its manifest asks for without effect is a condition, whether it runs or not', () => {
  const defects = ['cgroups.memory.limit: there is no such field: it would have no effect'];
  const flawed = packageOf('1.0.0', { defects });
  for (const attempts of [[current], []]) {
    const { conditions } = statusIn(wanted({ targets: [target('running', '1.0.0', flawed)], attempts }));
    const degraded = conditions.find(({ type }) => type === 'Degraded');
    assert.deepEqual([degraded?.status, degraded?.reason, degraded?.message], ['True', 'ManifestDefect', defects[0]]);
  }
});

test('who else than root may change a package is a condition', () => {
  const foreign = '/packages/app.npk belongs to user 1000';
  const targets = [target('running', '1.0.0', packageOf('1.0.0', { foreign }))];
  const degraded = statusIn(wanted({ targets })).conditions.find(({ type }) => type === 'Degraded');
  assert.deepEqual([degraded?.status, degraded?.reason, degraded?.message], ['True', 'ForeignPackage', foreign]);
});

test('other bytes than an entry was resolved to are a condition', () => {
  for (const [digest, expected] of [
    ['sha256:00', 'NothingToVerify'],
    [null, 'DigestUnknown'],
    ['sha256:11', 'DigestMismatch'],
  ] as const) {
    const targets = [{ ...target('running', '1.0.0', packageOf('1.0.0', { digest })), digest: 'sha256:00' }];
    const { conditions, phase } = statusIn(wanted({ targets }));
    assert.equal(conditions.find(({ type }) => type === 'Verified')?.reason, expected);
    const degraded = conditions.find(({ type }) => type === 'Degraded')?.reason;
    assert.equal(degraded === 'DigestMismatch', expected === 'DigestMismatch');
    assert.equal(phase === 'Failed', expected === 'DigestMismatch');
  }
});

const stopping = { deadline: 9000, killed: false };
const broken: StepFailure = {
  op: 'mount',
  reason: 'BadImage',
  subject: null,
  message: 'garbage',
  count: 1,
  retryAt: null,
};
const never = { policy: 'never', backoff: 1, maxBackoff: 1, resetAfter: 1, limit: 0 } as const;
const found = packageOf('1.0.0');
const current = attempt(7, '1.0.0');

for (const [name, phase, of, left] of [
  ['nothing is installed', 'Absent', view({ targets: [target('installed', null, null)] }), nothing],
  ['it is installed', 'Installed', view({ targets: [target('installed', '1.0.0', found)] }), nothing],
  ['its image is mounted', 'Mounted', wanted({ targets: [target('mounted', '1.0.0', found)] }), nothing],
  ['its start is due', 'Starting', wanted(), nothing],
  ['it runs', 'Running', wanted({ attempts: [current] }), nothing],
  ['it runs without its package file', 'Running', wanted({ attempts: [current], packages: [] }), nothing],
  [
    'it runs, and nothing that is installed fits its entry any more',
    'Running',
    view({ targets: [target('running', null, null)], attempts: [current] }),
    nothing,
  ],
  [
    'it runs and should not',
    'Stopping',
    wanted({ targets: [target('mounted', '1.0.0', found)], attempts: [current] }),
    nothing,
  ],
  [
    'it was told to stop',
    'Stopping',
    wanted({ attempts: [{ ...current, record: { ...current.record, stop: stopping } }] }),
    nothing,
  ],
  ['it ended and waits', 'Backoff', wanted({ attempts: [ended({ code: 1 })], now: 2001 }), nothing],
  ['it ended for good', 'Exited', wanted({ attempts: [ended({ code: 1 })] }, { restart: never }), nothing],
  ['a step cannot be done', 'Failed', wanted(), { steps: [], failures: [broken] }],
] as const) {
  test(`the phase is ${phase} when ${name}`, () => {
    assert.equal(statusIn(of, left).phase, phase);
  });
}

test('a start that failed and is tried again says why, and what the host lacked', () => {
  const failure = { step: 'exec', code: 'ENOENT', subject: '/bin/app' };
  const made = madeOf(wanted(), wanted().targets[0]!) ?? '';
  const last = ended({ code: 0 }, { made, lacks: ['/tools is not on the host'] });
  const failed = { ...last, state: 'failed' as const, exit: null, failure };
  const { phase, conditions } = statusIn(wanted({ attempts: [failed], now: 2001 }), nothing);
  const of = (wants: string) => conditions.find(({ type }) => type === wants);
  assert.deepEqual([phase, of('Degraded')?.reason], ['Backoff', 'MissingOnHost']);
  assert.match(of('Ready')?.message ?? '', /app:1\.0\.0 has no \/bin\/app/);
});

test('what runs on shows, also when its entry fits nothing that is installed any more', () => {
  const orphan = view({ targets: [target('running', null, null)], attempts: [current] });
  assert.deepEqual([statusIn(orphan).pid, statusIn(orphan).version], [4711, '1.0.0']);
  const claimed = view({
    ...orphan,
    targets: [...orphan.targets, { ...target('running', '1.0.0', found), key: 'app:1.0.0' }],
  });
  assert.equal(statusIn(claimed).pid, null);
});

test('a running container shows what runs and since when', () => {
  const status = statusIn(wanted({ attempts: [{ ...current, startedAt: 5000 }], now: 8000 }));
  assert.equal(status.pid, 4711);
  assert.equal(status.since, wallClock(5000));
  assert.equal(status.repository, 'system');
  assert.equal(status.mounted, true);
});

test('what has been answered to run and has no process yet is starting', () => {
  const { phase, pid, conditions } = statusIn(wanted({ attempts: [{ ...current, pid: 0 }] }));
  assert.deepEqual([phase, pid, conditions.find(({ type }) => type === 'Ready')?.status], ['Starting', null, 'False']);
  assert.ok(isUnsettled(phase));
});

test('the condition of a container that ran out of memory says so', () => {
  const killed = { ...ended({ signal: 9 }), oomKills: 2 };
  const messages = (of: View) =>
    statusIn(of).conditions.flatMap(({ type, message }) => (type === 'Ready' ? [message] : []));
  assert.deepEqual(messages(wanted({ attempts: [killed], now: 2001 })), ['ended with SIGKILL, out of memory']);
  assert.deepEqual(messages(wanted({ attempts: [killed] }, { restart: never })), [
    'ended with SIGKILL, out of memory; another run starts it again',
  ]);
});

test('a container in backoff shows when it starts again and how it ended', () => {
  const status = statusIn(wanted({ attempts: [ended({ code: 3 }, { restarts: 2 })], now: 2001 }));
  assert.deepEqual(status.lastExit, { code: 3 });
  assert.equal(status.restarts, 2);
  assert.ok(Date.parse(status.nextRestart!) > 2001);
});

function condition(status: ContainerStatus, type: ConditionType) {
  const { status: is, reason } = status.conditions.find((each) => each.type === type)!;
  return `${is} ${reason}`;
}

test('conditions say what is and what is not', () => {
  const status = statusIn(wanted({ attempts: [current] }));
  assert.equal(condition(status, 'Installed'), 'True PackageInstalled');
  assert.equal(condition(status, 'Mounted'), 'True ImageMounted');
  assert.equal(condition(status, 'Ready'), 'True Running');
  assert.equal(condition(status, 'UpdateAvailable'), 'False UpToDate');
  assert.equal(condition(status, 'PackageMissing'), 'False AsResolved');
  assert.equal(condition(status, 'Degraded'), 'False AsExpected');
});

test('a resolved package that vanished is missing, and what runs is no less ready', () => {
  const status = statusIn(wanted({ targets: [target('running', '1.0.0', null)], packages: [], attempts: [current] }));
  assert.equal(condition(status, 'PackageMissing'), 'True PackageVanished');
  assert.equal(condition(status, 'Ready'), 'True Running');
});

test('a higher version is told', () => {
  const goal = { ...target('running', '1.0.0', found), newer: '1.1.0' };
  assert.equal(condition(statusIn(wanted({ targets: [goal] })), 'UpdateAvailable'), 'True HigherVersionInstalled');
});

test('what a start waits for is the reason that it is not ready', () => {
  assert.equal(condition(statusIn(wanted({ dependenciesDown: ['broker'] })), 'Ready'), 'False WaitingForDependency');
  const lacking = {
    ...target('running', '1.0.0', found),
    resources: [{ target: '/d', name: 'data', requirement: '^1', id: null }],
  };
  assert.equal(condition(statusIn(wanted({ targets: [lacking] })), 'Ready'), 'False WaitingForResource');
});

test('a transition has the time at which it happened, and keeps it', () => {
  const first = statusIn(wanted({ attempts: [current], now: 1000 }));
  const second = statusIn(wanted({ attempts: [current], now: 9000 }), nothing, { app: first });
  assert.deepEqual(second, first);
  const third = statusIn(wanted({ attempts: [ended({ code: 1 })], now: 9000 }, { restart: never }), nothing, {
    app: second,
  });
  assert.equal(third.conditions.find(({ type }) => type === 'Ready')?.lastTransition, wallClock(9000));
  assert.equal(third.conditions.find(({ type }) => type === 'Mounted')?.lastTransition, wallClock(1000));
});

test('a condition carries the generation that last changed the entry', () => {
  const status = statusIn(wanted({}, { generation: 12 }));
  assert.ok(status.conditions.every(({ generation }) => generation === 12));
});

test('what is on its way somewhere has not converged', () => {
  assert.deepEqual(
    ['Starting', 'Stopping', 'Backoff', 'Failed'].map((phase) => isUnsettled(phase as never)),
    [true, true, true, true],
  );
  assert.deepEqual(
    ['Running', 'Exited', 'Mounted'].map((phase) => isUnsettled(phase as never)),
    [false, false, false],
  );
});

test('a critical container that fails ends the runtime; one that is stopped does not', () => {
  const critical = packageOf('1.0.0', { manifest: { ...found.manifest, autostart: 'critical' } });
  const failing = (exit: ObservedAttempt['exit'], record: Partial<ObservedAttempt['record']> = {}) =>
    criticalEnd(view({ targets: [target('running', '1.0.0', critical)], attempts: [ended(exit, record)] }), nothing);
  assert.equal(failing({ code: 1 }), 'app ended with exit code 1');
  assert.equal(failing({ signal: 9 }), 'app ended with SIGKILL');
  assert.equal(failing({ code: 0 }), null);
  assert.equal(failing({ signal: 15 }, { stop: stopping }), null);
  const killed = ended({ signal: 9 }, { stop: { deadline: null, killed: false } });
  const down = { targets: [target('mounted', '1.0.0', critical)], attempts: [killed] };
  assert.equal(criticalEnd(view(down), nothing), 'app ended with SIGKILL');
  assert.equal(criticalEnd(view({ ...down, stopping: true }), nothing), null);
  const unstarted = (retryAt: number | null) =>
    criticalEnd(view({ targets: [target('running', '1.0.0', critical)] }), {
      steps: [],
      failures: [{ ...broken, retryAt }],
    });
  assert.equal(unstarted(null), 'app could not start: garbage');
  assert.equal(unstarted(5), null);
  const lacking = { target: '/data', name: 'data', requirement: '^1', id: null };
  const alone = { ...target('running', '1.0.0', critical), resources: [lacking], autostart: 'critical' as const };
  assert.equal(
    criticalEnd(view({ targets: [alone] }), nothing),
    'app could not start: the resource data ^1 is not installed',
  );
  assert.equal(criticalEnd(view({ targets: [{ ...alone, autostart: null }] }), nothing), null);
  assert.equal(criticalEnd(view({ targets: [alone], stopping: true }), nothing), null);
});

test('why something waits is told along the chain of what it depends on', () => {
  const steps = [{ op: 'go', name: 'app', waits: 'not running yet: broker' }];
  const of = wanted({ dependenciesDown: ['broker'] });
  const below = { op: 'mount', text: 'mount waits: broker:1.0.0 is not installed', by: [] };
  const soon = { ...broken, op: 'umount', retryAt: 5000 };
  const unsettled = explainName(
    of,
    { steps, failures: [broken, soon] },
    {
      of: () => [below],
      held: { op: 'install', why: 'the server answered 503' },
      wallClock: (boot) => new Date(boot).toISOString(),
    },
  );
  assert.deepEqual(unsettled.map(unsettledText), [
    'install is under way: the server answered 503',
    'go waits: not running yet: broker',
    'mount failed: garbage (until something it depends on changes)',
    'umount failed: garbage (it is tried again at 1970-01-01T00:00:05.000Z)',
    '  broker: mount waits: broker:1.0.0 is not installed',
  ]);
  assert.deepEqual(
    unsettled.map(({ op, by }) => [op, by]),
    [
      ['install', []],
      ['go', []],
      ['mount', []],
      ['umount', []],
      ['mount', ['broker']],
    ],
  );
});

for (const reason of ['AlreadyInstalled', 'BadLimit', 'CgroupRefused', 'MissingResource', 'NoController'] as const) {
  test(`what no retry mends is shown as itself: ${reason}`, () => {
    const failure = { ...broken, reason, subject: 'data:1.0.0' };
    const degraded = statusIn(wanted(), { steps: [], failures: [failure] }).conditions.find(
      ({ type }) => type === 'Degraded',
    );
    assert.equal(degraded?.reason, reason);
    assert.equal(degraded.subject, 'data:1.0.0');
  });
}
