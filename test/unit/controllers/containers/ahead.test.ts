import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseAhead, mostAhead } from '../../../../controllers/containers/ahead.ts';
import { madeOf } from '../../../../controllers/containers/candidate.ts';
import { decide, plan } from '../../../../controllers/containers/containers-plan.ts';
import { noGroup } from '../../../../controllers/forecast/effect.ts';
import { judge } from '../../../../controllers/containers/restart.ts';
import { criticalEnd } from '../../../../controllers/status/container-status.ts';
import type { View } from '../../../../controllers/controller.ts';
import type { ContainerEntry } from '../../../../state/desired.ts';
import type { ObservedAttempt } from '../../../../state/observed.ts';
import type { Manifest } from '../../../../state/schema/manifest.ts';
import { attempt, mountOf, packageOf, target, view } from '../../../support/views.ts';

const GIB = 2 ** 30;
const ample = { total: 4 * GIB, available: 2 * GIB };

/** One that is mounted; nothing is said of it yet. */
function mounted(
  fields: Partial<View> = {},
  entry: Partial<ContainerEntry> = {},
  manifest: Partial<Manifest> = {},
): View {
  const whole = packageOf('1.0.0');
  const found = { ...whole, manifest: { ...whole.manifest, ...manifest } };
  const goal = target('mounted', '1.0.0', found, { prepare: 'auto', ...entry });
  return view({ targets: [goal], packages: [found], mounts: [mountOf('1.0.0')], ...fields });
}

/** A sandbox of it that was made in advance. */
function sandbox(of: View, id: number, state: ObservedAttempt['state'] = 'prepared'): ObservedAttempt {
  const base = attempt(id, '1.0.0', state);
  return { ...base, record: { ...base.record, made: madeOf(of, of.targets[0]!)!, ahead: true } };
}

const made = madeOf(mounted(), mounted().targets[0]!)!;
const ops = (of: View): string[] => plan(of).map(({ op }) => op);

test('what may be started gets a sandbox when it is chosen, and not before', () => {
  assert.deepEqual(plan(mounted()), []);
  const said = chooseAhead([mounted()], ample);
  assert.deepEqual([...said], [['app', { made, what: 'make' }]]);
  const [step] = plan(mounted({ ahead: said.get('app')! }));
  assert.equal(step?.op === 'prepare' && step.ahead, true);
  assert.equal(step?.waits, null);
});

test('one that is there stays, whoever looks, and is given up when it does not fit any more', () => {
  const of = mounted();
  assert.deepEqual(ops({ ...of, attempts: [sandbox(of, 7)] }), []);
  const other = { ...of, mounts: [mountOf('1.0.0', { mountId: 101 })] };
  assert.deepEqual(ops({ ...other, attempts: [sandbox(of, 7)] }), ['discard']);
  const installed = mounted({ attempts: [sandbox(of, 7)] }, { state: 'installed' });
  assert.deepEqual(ops(installed), ['discard']);
  assert.deepEqual(ops(mounted({ attempts: [sandbox(of, 7)] }, { prepare: false })), ['discard']);
});

test('the next start uses it', () => {
  const of = mounted();
  const wanted = {
    ...of,
    targets: [{ ...of.targets[0]!, entry: { ...of.targets[0]!.entry, state: 'running' as const } }],
  };
  assert.deepEqual(ops({ ...wanted, attempts: [sandbox(of, 7)] }), ['go']);
});

test('a start with other groups has a sandbox of its own, and waits until the former groups are gone', () => {
  const of = mounted();
  const start = (cgroups: ContainerEntry['cgroups'], fields: Partial<View> = {}) => {
    const [goal] = of.targets;
    const targets = [{ ...goal!, entry: { ...goal!.entry, state: 'running' as const, cgroups } }];
    return plan({ ...of, cgroup: { ...noGroup('app'), leaves: [7] }, targets, ...fields }).map(({ op, waits }) => [
      op,
      waits,
    ]);
  };
  const attempts = [sandbox(of, 7)];
  const limits = { memory: { oom_monitor: false, memory_hard_limit: 2 ** 20 } };
  assert.deepEqual(start(limits, { attempts }), [
    ['discard', null],
    ['start', null],
  ]);
  const elsewhere = { parent: '/slice' };
  const waits = 'its groups are not yet gone from where they were';
  const first = [
    ['prepare', waits],
    ['go', 'its sandbox is not prepared'],
  ];
  assert.deepEqual(start(elsewhere, { attempts }), [['discard', null], ...first]);
  assert.deepEqual(start(elsewhere), first);
  assert.deepEqual(start(elsewhere, { cgroup: null }), [['start', null]]);
});

test('what holds on to something of the host or of others is not made in advance', () => {
  const bind = { type: 'bind', host: '/media/stick' } as const;
  const resource = { type: 'resource', name: 'data', version: '^1', dir: '/' } as const;
  const kinds: Partial<Manifest>[] = [
    { mounts: new Map([['/media', bind]]) },
    { mounts: new Map([['/data', resource]]) },
    { network: { namespace: 'modem' } },
    { init: undefined },
  ];
  for (const each of kinds) assert.equal(chooseAhead([mounted({}, {}, each)], ample).size, 0, JSON.stringify(each));
  assert.equal(chooseAhead([mounted({}, {}, { network: 'host' })], ample).size, 1);
  for (const prepare of [true, false]) assert.equal(chooseAhead([mounted({}, { prepare })], ample).size, 0);
});

test('nothing is made on trial, while it goes down, beside what runs, or of another version than what should run', () => {
  const running = attempt(3, '1.0.0');
  const other = target('running', '2.0.0', packageOf('2.0.0'));
  const cases = [mounted({ holding: true }), mounted({ stopping: true }), mounted({ attempts: [running] })];
  for (const each of [...cases, mounted({ targets: [...mounted().targets, other] })])
    assert.equal(chooseAhead([each], ample).size, 0);
});

test('there are as many as a part of the memory holds, and who ran last comes first', () => {
  assert.deepEqual(
    [32, 64, 512, 16_384].map((mib) => mostAhead({ total: mib * 2 ** 20 })),
    [0, 1, 10, 32],
  );
  const of = (name: string, exitedAt: number) =>
    mounted({ name, attempts: [{ ...attempt(1, '1.0.0', 'exited'), exitedAt }] });
  const views = [of('never', 0), of('last', 500), of('before', 300)];
  const small = { total: 128 * 2 ** 20, available: 64 * 2 ** 20 };
  assert.deepEqual([...chooseAhead(views, small).keys()], ['last', 'before']);
  const one = mounted({ name: 'there' });
  assert.deepEqual([...chooseAhead([{ ...one, attempts: [sandbox(one, 7)] }, ...views], small).keys()], ['last']);
});

test('short of memory all are given up, and there are none again until there is much more of it', () => {
  const of = mounted();
  const there = { ...of, attempts: [sandbox(of, 7)] };
  const tight = chooseAhead([there, mounted({ name: 'other' })], { total: GIB, available: GIB / 32 });
  assert.deepEqual([...tight], [['app', { made, what: 'tight' }]]);
  assert.deepEqual(ops({ ...there, ahead: tight.get('app')! }), ['discard']);
  const gone = mounted({ ahead: tight.get('app')! });
  assert.equal(chooseAhead([gone], { total: GIB, available: GIB / 10 }).size, 0);
  assert.equal(chooseAhead([gone], { total: GIB, available: GIB / 4 }).get('app')?.what, 'make');
  // In between nothing that is there goes.
  assert.equal(chooseAhead([there], { total: GIB, available: GIB / 10 }).size, 0);
});

test('one that could not be made is no failed start, and is not tried again as long as it would be the same', () => {
  const failed = { made, what: 'failed' } as const;
  const of = mounted({ ahead: failed, attempts: [{ ...sandbox(mounted(), 7, 'failed'), failure: lacking }] });
  assert.deepEqual(ops(of), ['forget']);
  assert.equal(decide(of).verdict, null);
  assert.equal(chooseAhead([of], ample).get('app'), failed);
  assert.equal(chooseAhead([{ ...of, mounts: [mountOf('1.0.0', { mountId: 101 })] }], ample).get('app')?.what, 'make');
  const goal = target('running', '1.0.0', packageOf('1.0.0', { manifest: critical }));
  const wanted = { ...of, targets: [goal] };
  assert.equal(judge(wanted, goal, made).kind, 'start');
  assert.equal(criticalEnd(wanted, { steps: [], failures: [] }), null);
});

const lacking = { step: 'clone', code: 'ENOENT', subject: '/app' };
const critical: Manifest = { name: 'app', version: '1.0.0', init: '/app', uid: 1, gid: 1, autostart: 'critical' };
