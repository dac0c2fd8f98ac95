// What follows when a mounted image is no longer what was mounted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { madeOf } from '../../../../controllers/containers/candidate.ts';
import { decide, plan } from '../../../../controllers/containers/containers-plan.ts';
import type { Target, View } from '../../../../controllers/controller.ts';
import { statusOf } from '../../../../controllers/status/container-status.ts';
import type { ObservedMount } from '../../../../state/observed.ts';
import type { ConditionType } from '../../../../state/status.ts';
import { attempt, mountOf, packageOf, target, view } from '../../../support/views.ts';

const found = packageOf('1.0.0');
const ran = { run: null, exit: null, attempt: 7 };
const resource = { target: '/data', name: 'data', requirement: '^1', id: 'data:1.0.0' };
const dataMount = mountOf('1.0.0', { id: 'data:1.0.0', name: 'data' });

/** A view of an entry that is to run, with its own image and that of a resource in these states. */
function running(own: ObservedMount['integrity'], data: ObservedMount['integrity'], fields: Partial<View> = {}): View {
  const goal: Target = { ...target('running', '1.0.0', found), resources: [resource] };
  return view({
    targets: [goal],
    packages: [found],
    mounts: [mountOf('1.0.0', { integrity: own })],
    resourceMounts: new Map([['data:1.0.0', { ...dataMount, integrity: data }]]),
    ran,
    now: 1000,
    ...fields,
  });
}

const instance = attempt(7, '1.0.0', 'running', ['data:1.0.0']);
const signal = { op: 'signal', name: 'app', id: 7, signal: 15, grace: 10_000, waits: null };

test('a container whose image was written to is stopped', () => {
  assert.deepEqual(plan(running('written', 'intact', { attempts: [instance] })), [signal]);
});

test('a container is stopped when the image of a resource that it uses was written to', () => {
  assert.deepEqual(plan(running('intact', 'written', { attempts: [instance] })), [signal]);
});

test('a container goes on when the written resource is one that it does not use', () => {
  const other = { ...instance, record: { ...instance.record, uses: [] } };
  assert.deepEqual(plan(running('intact', 'written', { attempts: [other] })), []);
});

test('a container goes on when dm-verity has found a wrong block: it gets EIO, and its restart policy answers', () => {
  assert.deepEqual(plan(running('corrupted', 'corrupted', { attempts: [instance] })), []);
  const { verdict } = decide(running('corrupted', 'intact', { attempts: [] }));
  assert.equal(verdict?.kind, 'start');
});

test('nothing is prepared or started from an image that was written to, and what stands ready is discarded', () => {
  for (const spoilt of [running('written', 'intact'), running('intact', 'written')]) {
    assert.deepEqual(plan(spoilt), []);
    const ready = { ...attempt(8, '1.0.0', 'prepared'), record: { ...attempt(8, '1.0.0').record, made: 'before' } };
    assert.deepEqual(plan({ ...spoilt, attempts: [ready] }), [{ op: 'discard', name: 'app', id: 8, waits: null }]);
    assert.equal(madeOf(spoilt, spoilt.targets[0]!), null);
  }
});

test('a container that was stopped for its image starts again from the file that has taken the place of the spoilt one', () => {
  const stopped = {
    ...attempt(7, '1.0.0', 'exited'),
    exit: { signal: 15 },
    record: { ...instance.record, stop: { deadline: 5, killed: false } },
  };
  assert.equal(decide(running('written', 'intact', { attempts: [stopped] })).verdict?.kind, 'failed');
  assert.equal(decide(running('intact', 'intact', { attempts: [stopped] })).verdict?.kind, 'start');
});

test('an older version goes on when the image of its replacement was written to before it began', () => {
  const old = attempt(7, '0.9.0');
  const of = running('written', 'intact', { attempts: [old] });
  const mounts = [...of.mounts, mountOf('0.9.0')];
  assert.deepEqual(plan({ ...of, mounts }), []);
});

/** Phase and conditions (`STATUS REASON`) of the entry. */
function shown(of: View) {
  const status = statusOf(of, { steps: [], failures: [] }, {}, (boot) => new Date(boot).toISOString()).get('app')!;
  const condition = (type: ConditionType) => {
    const { status: is, reason } = status.conditions.find((each) => each.type === type)!;
    return `${is} ${reason}`;
  };
  return {
    phase: status.phase,
    lost: condition('IntegrityLost'),
    ready: condition('Ready'),
    degraded: condition('Degraded'),
  };
}

test('the status says what was lost', () => {
  assert.deepEqual(shown(running('intact', 'intact', { attempts: [instance] })), {
    phase: 'Running',
    lost: 'False ImageIntact',
    ready: 'True Running',
    degraded: 'False AsExpected',
  });
  assert.deepEqual(shown(running('written', 'intact')), {
    phase: 'Failed',
    lost: 'True ImageWritten',
    ready: 'False IntegrityLost',
    degraded: 'True IntegrityLost',
  });
  assert.deepEqual(shown(running('intact', 'corrupted', { attempts: [instance] })), {
    phase: 'Running',
    lost: 'True BlocksCorrupted',
    ready: 'True Running',
    degraded: 'True IntegrityLost',
  });
});

test('a package of a repository that the document has no more is missing for that reason', () => {
  const goal: Target = { ...target('running', '1.0.0', null), goneRepository: 'system' };
  const status = statusOf(view({ targets: [goal], attempts: [instance] }), { steps: [], failures: [] }, {}, String).get(
    'app',
  );
  const missing = status?.conditions.find(({ type }) => type === 'PackageMissing');
  assert.deepEqual([missing?.status, missing?.reason], ['True', 'RepositoryRemoved']);
  assert.equal(status?.phase, 'Running');
});
