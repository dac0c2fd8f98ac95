import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controllerNames, type Hierarchies } from '../../../../controllers/cgroups/cgroup-hierarchies.ts';
import { planCgroups, type CgroupStep } from '../../../../controllers/cgroups/cgroups-plan.ts';
import type { View } from '../../../../controllers/controller.ts';
import type { Cgroups } from '../../../../state/schema/manifest.ts';
import type { ObservedAttempt, ObservedCgroup } from '../../../../state/observed.ts';
import { attempt, lines, packageOf, target, view } from '../../../support/views.ts';

const hierarchies: Hierarchies = {
  legacy: new Map(controllerNames.map((name) => [name, `/cg/${name}`])),
  unified: '/cg/unified',
  unifiedControllers: new Set(),
  others: [],
  swappiness: '60',
  pageSize: 4096,
  mostProcesses: null,
};
const one = packageOf('1.0.0');
const shares = (number: number): Cgroups => ({ cpu: { shares: number } });

function group(leaves: number[], limits = '', controllers: string[] = [], frozen: number[] = []): ObservedCgroup {
  const names = ['unified', ...controllers];
  return {
    name: 'app',
    groups: new Map(names.map((name) => [name, `/cg/${name}/app`])),
    place: null,
    leaves,
    limits,
    own: new Map(),
    frozen: new Map(frozen.map((id) => [id, 'frozen'])),
  };
}

const stopped = (of: ObservedAttempt): ObservedAttempt => ({
  ...of,
  record: { ...of.record, stop: { deadline: 1, killed: false } },
});

const killed = (of: ObservedAttempt): ObservedAttempt => ({
  ...of,
  record: { ...of.record, stop: { deadline: 1000, killed: true } },
});

const never = { policy: 'never', backoff: 500, maxBackoff: 300_000, resetAfter: 600_000, limit: 0 } as const;

const cases: Record<string, { sees: Partial<View>; plans: string[] }> = {
  'a name without a group needs nothing': { sees: { targets: [target('running', '1.0.0', one)] }, plans: [] },
  'what runs with its limits in force needs nothing': {
    sees: { cgroup: group([7]), attempts: [attempt(7, '1.0.0')], targets: [target('running', '1.0.0', one)] },
    plans: [],
  },
  'what a kill has not ended within a second is ended in its groups': {
    sees: { cgroup: group([7]), attempts: [killed(attempt(7, '1.0.0'))], now: 2000 },
    plans: ['end-leaf 7'],
  },
  'what was killed just now is given its time': {
    sees: { cgroup: group([7]), attempts: [killed(attempt(7, '1.0.0'))], now: 1999 },
    plans: [],
  },
  'the leaf of an attempt that has ended is removed': {
    sees: { cgroup: group([6, 7]), attempts: [attempt(6, '1.0.0', 'exited'), attempt(7, '1.0.0')] },
    plans: ['remove-leaf 6'],
  },
  'a leaf that no attempt is known of is removed with the group': {
    sees: { cgroup: group([6]) },
    plans: ['remove-group with 6'],
  },
  'the leaf of a prepared attempt stays': {
    sees: { cgroup: group([7]), attempts: [attempt(7, '1.0.0', 'prepared')] },
    plans: [],
  },
  'an empty group of a name that is not to run is removed': { sees: { cgroup: group([]) }, plans: ['remove-group'] },
  'an empty group goes with the end that `restart` does not answer': {
    sees: {
      cgroup: group([]),
      attempts: [attempt(7, '1.0.0', 'exited')],
      targets: [target('running', '1.0.0', one, { restart: never })],
    },
    plans: ['remove-group'],
  },
  'an empty group stays between two starts': {
    sees: { cgroup: group([]), attempts: [attempt(7, '1.0.0', 'exited')], targets: [target('running', '1.0.0', one)] },
    plans: [],
  },
  'a group that another `parent` is asked for goes before anything starts there': {
    sees: {
      cgroup: { ...group([7]), place: 'slice' },
      attempts: [attempt(7, '1.0.0', 'exited')],
      targets: [target('running', '1.0.0', one)],
    },
    plans: ['remove-group with 7'],
  },
  'such a group stays as long as a sandbox is in it': {
    sees: {
      cgroup: { ...group([7]), place: 'slice' },
      attempts: [attempt(7, '1.0.0', 'prepared')],
      targets: [target('running', '1.0.0', one)],
    },
    plans: [],
  },
  'such a group stays as long as something runs in it': {
    sees: {
      cgroup: group([7]),
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one, { cgroups: { parent: '/slice' } })],
    },
    plans: [],
  },
  'a group is where it is asked for, however that is spelled': {
    sees: {
      cgroup: { ...group([]), place: 'slice/inner' },
      attempts: [attempt(7, '1.0.0', 'exited')],
      targets: [target('running', '1.0.0', one, { cgroups: { parent: '/slice//./inner/' } })],
    },
    plans: [],
  },
  'an empty group is removed when the runtime ends': {
    sees: { cgroup: group([]), stopping: true, targets: [target('running', '1.0.0', one)] },
    plans: ['remove-group'],
  },
  'limits that the entry changes take effect on what runs': {
    sees: {
      cgroup: group([7], 'cpu.shares 100', ['cpu', 'cpuacct']),
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one, { cgroups: shares(200) })],
    },
    plans: ['limit {"cpu":{"shares":200}}'],
  },
  'limits that somebody else has changed are written again': {
    sees: {
      cgroup: group([7], 'cpu.shares 5', ['cpu']),
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one)],
    },
    plans: ['limit null'],
  },
  'limits that need another controller take effect on what runs': {
    sees: {
      cgroup: group([7], ''),
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one, { cgroups: shares(1024) })],
    },
    plans: ['limit {"cpu":{"shares":1024}}'],
  },
  'limits of a version that is about to replace the running one come with its start': {
    sees: {
      cgroup: group([7]),
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '2.0.0', packageOf('2.0.0'), { cgroups: shares(200) })],
    },
    plans: [],
  },
  'what its entry pauses is frozen': {
    sees: {
      cgroup: group([7]),
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one, { paused: true })],
    },
    plans: ['freeze 7'],
  },
  'what is frozen stays so as long as its entry says it': {
    sees: {
      cgroup: group([7], '', [], [7]),
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one, { paused: true })],
    },
    plans: [],
  },
  'what no entry pauses goes on': {
    sees: {
      cgroup: group([7], '', [], [7]),
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one)],
    },
    plans: ['thaw 7'],
  },
  'a container without any group is paused, too': {
    sees: { attempts: [attempt(7, '1.0.0')], targets: [target('running', '1.0.0', one, { paused: true })] },
    plans: ['freeze 7'],
  },
  'a paused container that has been told to end goes on, so that it can': {
    sees: {
      cgroup: group([7], '', [], [7]),
      attempts: [stopped(attempt(7, '1.0.0'))],
      targets: [target('running', '1.0.0', one, { paused: true })],
    },
    plans: ['thaw 7'],
  },
  'limits come with the start while nothing runs': {
    sees: {
      cgroup: group([7]),
      attempts: [attempt(7, '1.0.0', 'prepared')],
      targets: [target('running', '1.0.0', one, { cgroups: shares(200) })],
    },
    plans: [],
  },
};

function text(step: CgroupStep): string {
  if (step.op === 'limit') return `limit ${JSON.stringify(step.section)}`;
  if (step.op === 'remove-group' && step.leaves.length > 0) return `remove-group with ${step.leaves.join(', ')}`;
  return 'attempt' in step ? `${step.op} ${step.attempt}` : step.op;
}

for (const [name, { sees, plans }] of Object.entries(cases)) {
  test(name, () => assert.deepEqual(lines(planCgroups(view(sees), hierarchies), text), plans));
}

test("the entry's section replaces the manifest's", () => {
  const found = packageOf('1.0.0', { manifest: { ...one.manifest, cgroups: shares(100) } });
  const sees = { cgroup: group([7], 'cpu.shares 300', ['cpu', 'cpuacct']), attempts: [attempt(7, '1.0.0')] };
  const plan = (cgroups: Cgroups | null) =>
    lines(planCgroups(view({ ...sees, targets: [target('running', '1.0.0', found, { cgroups })] }), hierarchies), text);
  assert.deepEqual(plan(null), ['limit {"cpu":{"shares":100}}']);
  assert.deepEqual(plan(shares(300)), []);
});

test('a container that names no limit of processes has that of the configuration', () => {
  const host = {
    ...hierarchies,
    legacy: new Map([...hierarchies.legacy, ['pids', '/pids'] as const]),
    mostProcesses: 50,
  };
  const plan = (limits: string, cgroups: Cgroups | null) =>
    lines(
      planCgroups(
        view({
          cgroup: group([7], limits, ['pids', 'cpu', 'cpuacct']),
          attempts: [attempt(7, '1.0.0')],
          targets: [target('running', '1.0.0', one, { cgroups })],
        }),
        host,
      ),
      text,
    );
  assert.deepEqual(plan('', null), ['limit {"pids":{"max":50}}']);
  assert.deepEqual(plan('pids.max 50', null), []);
  assert.deepEqual(plan('pids.max 50', { pids: { max: -1 } }), ['limit {"pids":{"max":-1}}']);
  assert.deepEqual(plan('', { pids: { max: -1 } }), []);
});

test('limits that the host cannot set are a step, so that its failure says why', () => {
  const section: Cgroups = { memory: { oom_monitor: false, attrs: { tasks: '1' } } };
  const sees = { cgroup: group([7], '', ['memory', 'cpuacct']), attempts: [attempt(7, '1.0.0')] };
  const plan = planCgroups(
    view({ ...sees, targets: [target('running', '1.0.0', one, { cgroups: section })] }),
    hierarchies,
  );
  assert.deepEqual(
    plan.map(({ op }) => op),
    ['limit'],
  );
});
