// When persistent data is kept over a trial, when it comes back, and what waits for that.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planKeptData } from '../../../../controllers/kept-data/kept-data-plan.ts';
import { plan } from '../../../../controllers/containers/containers-plan.ts';
import type { DataTrial, View } from '../../../../controllers/controller.ts';
import { createModel } from '../../../../controllers/reconcile/model.ts';
import { emptyDesired } from '../../../../state/desired.ts';
import { emptyState } from '../../../../state/store.ts';
import { stage } from '../../../../state/trial/transitions.ts';
import type { TrialState } from '../../../../state/trial/trial-record.ts';
import type { KeptData } from '../../../../state/observed.ts';
import { attempt, mountOf, packageOf, target, view } from '../../../support/views.ts';

const open: DataTrial = { confirmed: 4, outcome: 'open', version: '1.0.0' };
const kept: KeptData = { confirmed: 4, version: '1.0.0', touched: true };
const withData = (version: string) =>
  packageOf(version, {
    manifest: {
      ...{ name: 'app', version, init: '/app', uid: 1000, gid: 1000 },
      mounts: new Map([['/data', { type: 'persist' }]]),
    },
  });
const wants = (version: string): Pick<View, 'targets' | 'packages' | 'mounts'> => ({
  targets: [target('running', version, withData(version))],
  packages: [withData(version)],
  mounts: [mountOf(version)],
});
const ops = (fields: Partial<View>): string[] => planKeptData(view(fields)).map(({ op }) => op);

test('data is kept before another version than the confirmed one starts, and only then', () => {
  assert.deepEqual(ops({ ...wants('2.0.0'), dataTrial: open }), ['keep-data']);
  assert.deepEqual(ops({ ...wants('1.0.0'), dataTrial: open }), []);
  assert.deepEqual(ops({ ...wants('2.0.0'), dataTrial: null }), []);
  assert.deepEqual(ops({ ...wants('2.0.0'), dataTrial: { ...open, version: null } }), []);
  assert.deepEqual(ops({ ...wants('2.0.0'), dataTrial: open, stopping: true }), []);
  const without = target('running', '2.0.0', packageOf('2.0.0'));
  assert.deepEqual(ops({ ...wants('2.0.0'), targets: [without], dataTrial: open }), []);
});

test('it is kept once what runs has ended, and the next one starts after that', () => {
  const running = attempt(7, '1.0.0');
  const [step] = planKeptData(view({ ...wants('2.0.0'), dataTrial: open, attempts: [running] }));
  assert.equal(step?.waits, 'attempt 7 has not ended');
  const before = plan(view({ ...wants('2.0.0'), dataTrial: open }));
  assert.deepEqual(
    before.filter(({ op }) => op === 'start' || op === 'go').map(({ waits }) => waits),
    ['its sandbox is not prepared'],
  );
  const ready = plan(view({ ...wants('2.0.0'), dataTrial: open, kept: { ...kept, touched: false } }));
  assert.deepEqual(
    ready.filter(({ op, waits }) => op === 'start' && waits === null).map(({ op }) => op),
    ['start'],
  );
});

test('what another version may have changed comes back with a revert, and nothing else does', () => {
  const back = { ...open, outcome: 'back', version: null } as const;
  assert.deepEqual(ops({ ...wants('1.0.0'), dataTrial: back, kept }), ['restore-data']);
  assert.deepEqual(ops({ ...wants('1.0.0'), dataTrial: back, kept: { ...kept, touched: false } }), ['drop-data']);
  assert.deepEqual(ops({ ...wants('1.0.0'), dataTrial: back }), []);
  assert.deepEqual(ops({ ...wants('2.0.0'), dataTrial: { ...back, outcome: 'forth' }, kept }), ['drop-data']);
  const sandbox = attempt(9, '1.0.0', 'prepared');
  const view1 = view({ ...wants('1.0.0'), dataTrial: back, kept, attempts: [sandbox] });
  assert.equal(planKeptData(view1)[0]?.waits, 'attempt 9 has not ended');
  assert.deepEqual(
    plan(view1).map(({ op, waits }) => [op, waits]),
    [
      ['discard', null],
      ['prepare', 'its persistent data has to come back first'],
      ['go', 'its sandbox is not prepared'],
    ],
  );
});

test('by whatever way its version is wanted again, it goes on with its own', () => {
  assert.deepEqual(ops({ ...wants('1.0.0'), dataTrial: open, kept: { ...kept, touched: false } }), ['drop-data']);
  assert.deepEqual(ops({ ...wants('1.0.0'), dataTrial: open, kept }), ['restore-data']);
  assert.deepEqual(ops({ ...wants('2.0.0'), dataTrial: open, kept: { ...kept, touched: false } }), []);
  // What is only installed beside it is not what is wanted.
  const beside = [target('installed', '1.0.0', withData('1.0.0')), ...wants('2.0.0').targets];
  assert.deepEqual(ops({ ...wants('2.0.0'), targets: beside, dataTrial: open, kept }), []);
  // While it goes back the other version is wanted for a moment more: nothing comes back for it to write on.
  assert.deepEqual(ops({ ...wants('2.0.0'), dataTrial: open, kept }), []);
});

test('of a trial whose record is lost what is in force says how it ended', () => {
  const other = { ...open, confirmed: 9 };
  for (const dataTrial of [null, other]) {
    assert.deepEqual(ops({ ...wants('1.0.0'), dataTrial, kept }), ['restore-data']);
    assert.deepEqual(ops({ ...wants('2.0.0'), dataTrial, kept }), ['drop-data']);
    assert.deepEqual(ops({ ...wants('1.0.0'), dataTrial, kept: { ...kept, touched: false } }), ['drop-data']);
  }
});

test('a trial asks for it until its document is in force no more', () => {
  const model = createModel({ autostart: false });
  const entry = target('running', '2.0.0', withData('2.0.0'), { persist: { snapshot: true } }).entry;
  const terms = { confirm: 'manual', soak: 1, within: 2, boots: 1 } as const;
  const said = (state: TrialState, before: readonly string[] | null, confirm: 'manual' | 'none' = 'manual') => {
    const record = stage(
      null,
      { generation: 5, confirmed: 4, terms: { ...terms, confirm } },
      { boot: '', at: 0, time: 0 },
    );
    const trial = {
      ...{ record: { ...record, state, before }, waits: null, target: [], lacking: [] },
      before: new Map([['app', { version: '1.0.0', snapshot: false }]]),
    };
    model.update({ ...emptyState(), desired: { ...emptyDesired, containers: new Map([['app', entry]]) }, trial }, null);
    const { outcome, version } = model.view('app', 0).dataTrial ?? {};
    return [outcome, version];
  };
  assert.deepEqual(said('staged', null), ['back', null]);
  assert.deepEqual(said('staged', []), ['open', '1.0.0']);
  assert.deepEqual(said('active', []), ['open', '1.0.0']);
  assert.deepEqual(said('active', [], 'none'), ['open', null]);
  assert.deepEqual(said('reverting', []), ['open', '1.0.0']);
  assert.deepEqual(said('reverted', []), ['back', null]);
  assert.deepEqual(said('confirmed', []), ['forth', null]);
});
