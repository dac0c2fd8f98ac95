import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TerminalError, type StepFailure } from '../../../../controllers/failure.ts';
import type { Step } from '../../../../controllers/controller.ts';
import { createLoop } from '../../../../controllers/reconcile/loop.ts';

/** A loop over plans that a test writes down; time stands still until the test moves it. */
function harness(plans: Record<string, string[]>) {
  const tasks: (() => void)[] = [];
  const seen: string[] = [];
  const performed: string[] = [];
  const settled = new Map<string, { steps: readonly Step[]; failures: readonly StepFailure[] }>();
  const errors = new Map<string, Error>();
  const wakes = new Map<string, number>();
  const held = new Set<string>();
  const releases: (() => void)[] = [];
  let now = 0;
  let deadline: number | null = null;
  const loop = createLoop<Step>({
    clock: { now: () => now, setDeadline: (at) => void (deadline = at) },
    random: () => 1,
    defer: (task) => void tasks.push(task),
    plan(name) {
      const steps = (plans[name] ?? []).map((op) => ({
        op: op.replace('?', ''),
        name,
        waits: op.endsWith('?') ? 'something' : null,
      }));
      return { steps, wake: wakes.get(name) ?? null };
    },
    async act({ op, name }) {
      seen.push(`${name} ${op}`);
      if (held.has(name) || held.has(op)) await new Promise<void>((resolve) => void releases.push(resolve));
      const error = errors.get(op);
      if (error !== undefined) throw error;
      if (op !== 'futile') plans[name] = (plans[name] ?? []).filter((each) => each !== op);
    },
    performed: ({ op }) => void performed.push(op),
    apart: ({ op }) => op.startsWith('apart'),
    isLight: ({ op }) => op === 'signal',
    settled: (name, steps, failures) => void settled.set(name, { steps, failures }),
    failed: () => undefined,
  });
  async function run(): Promise<void> {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
      task();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return {
    loop,
    seen,
    performed,
    settled,
    errors,
    wakes,
    held,
    release: () => releases.splice(0).forEach((each) => each()),
    run,
    deadline: () => deadline,
    async advance(to: number) {
      now = to;
      loop.due();
      await run();
    },
  };
}

test('a name is planned again after each step, until nothing is left', async () => {
  const { loop, seen, settled, run } = harness({ app: ['mount', 'prepare', 'go'] });
  loop.enqueue(['app']);
  await run();
  assert.deepEqual(seen, ['app mount', 'app prepare', 'app go']);
  assert.deepEqual(settled.get('app'), { steps: [], failures: [] });
  assert.ok(loop.idle());
});

test('steps that wait are left, and no timer is set for them', async () => {
  const { loop, seen, settled, run, deadline } = harness({ app: ['mount?', 'prepare'] });
  loop.enqueue(['app']);
  await run();
  assert.deepEqual(seen, ['app prepare']);
  assert.deepEqual(
    settled.get('app')?.steps.map(({ op }) => op),
    ['mount'],
  );
  assert.equal(deadline(), null);
});

test('a name is never worked on twice at once; another name is', async () => {
  const { loop, seen, held, release, run } = harness({ app: ['a', 'b'], other: ['c'] });
  held.add('app');
  loop.enqueue(['app', 'other']);
  await run();
  loop.enqueue(['app']);
  await run();
  assert.deepEqual(seen, ['app a', 'other c']);
  held.clear();
  release();
  await run();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, ['app a', 'other c', 'app b']);
});

test('steps that are apart begin at once, and are told of in their order', async () => {
  const { loop, seen, performed, held, release, run } = harness({ app: ['apart-slow', 'apart-quick', 'last'] });
  held.add('apart-slow');
  loop.enqueue(['app']);
  await run();
  assert.deepEqual([seen, performed], [['app apart-slow', 'app apart-quick'], []]);
  release();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(performed, ['apart-slow', 'apart-quick', 'last']);
});

test('a step that fails is tried again later and later, and holds up no other step', async () => {
  const { loop, seen, errors, run, deadline, advance } = harness({ app: ['install', 'kill'] });
  errors.set('install', new Error('no space'));
  loop.enqueue(['app']);
  await run();
  assert.deepEqual(seen, ['app install', 'app kill']);
  const delays: number[] = [];
  for (let round = 0, now = 0; round < 12; round += 1) {
    delays.push(deadline()! - now);
    now = deadline()!;
    await advance(now);
  }
  assert.deepEqual(delays.slice(0, 4), [100, 200, 400, 800]);
  assert.equal(Math.max(...delays), 30_000);
});

test('a failure that no retry mends waits until what it depends on has changed', async () => {
  const { loop, seen, errors, settled, run, deadline } = harness({ app: ['mount'] });
  errors.set('mount', new TerminalError('BadImage', 'garbage'));
  loop.enqueue(['app']);
  await run();
  loop.enqueue(['app']);
  await run();
  assert.deepEqual(seen, ['app mount']);
  assert.equal(deadline(), null);
  assert.equal(settled.get('app')?.failures[0]?.reason, 'BadImage');
  errors.clear();
  loop.enqueue(['app'], true);
  await run();
  assert.deepEqual(settled.get('app'), { steps: [], failures: [] });
});

test('failures of an earlier process stand: nothing is tried early, and counted on', async () => {
  const { loop, seen, errors, settled, run, deadline, advance } = harness({ app: ['install'], other: ['mount'] });
  const step = (op: string, name: string) => JSON.stringify({ op, name, waits: null });
  const failure = { op: '', reason: 'StepFailed', subject: null, message: 'before', count: 4 } as const;
  loop.restore([
    { name: 'app', step: step('install', 'app'), failure: { ...failure, retryAt: 500 } },
    { name: 'other', step: step('mount', 'other'), failure: { ...failure, retryAt: null } },
  ]);
  errors.set('install', new Error('no space'));
  loop.enqueue(['app', 'other']);
  await run();
  assert.deepEqual([seen, deadline()], [[], 500]);
  await advance(500);
  assert.deepEqual(seen, ['app install']);
  assert.equal(settled.get('app')?.failures[0]?.count, 5);
});

test('a step whose effect is not seen is done again only after a while', async () => {
  const { loop, seen, settled, run, deadline } = harness({ app: ['futile'] });
  loop.enqueue(['app']);
  await run();
  assert.deepEqual(seen, ['app futile']);
  assert.match(settled.get('app')?.failures[0]?.message ?? '', /has shown no effect yet/);
  assert.equal(deadline(), 100);
});

test('the one deadline is the earliest of all names', async () => {
  const { loop, wakes, run, deadline, advance } = harness({});
  wakes.set('app', 700).set('other', 300);
  loop.enqueue(['app', 'other']);
  await run();
  assert.equal(deadline(), 300);
  wakes.delete('other');
  await advance(300);
  assert.equal(deadline(), 700);
});

test('after a stop nothing is begun', async () => {
  const { loop, seen, run } = harness({ app: ['mount'] });
  loop.enqueue(['app']);
  loop.stop();
  await run();
  assert.deepEqual(seen, []);
});

test('of many names with something to do the first are done when the last begin', async () => {
  const names = Array.from({ length: 100 }, (_, index) => `n${index}`);
  const { loop, seen, run } = harness(Object.fromEntries(names.map((name) => [name, ['mount', 'go']])));
  loop.enqueue(names);
  await run();
  assert.ok(seen.indexOf('n0 go') < seen.indexOf('n99 mount'), seen.join(', '));
  assert.equal(seen.length, 200);
  assert.ok(loop.idle());
});

test('as many as are begun at once leave the deadline set', async () => {
  const names = Array.from({ length: 8 }, (_, index) => `n${index}`);
  const { loop, wakes, held, run, deadline } = harness(Object.fromEntries(names.map((name) => [name, ['mount']])));
  wakes.set('late', 500);
  loop.enqueue(['late']);
  for (const name of names) held.add(name);
  loop.enqueue(names);
  await run();
  assert.equal(deadline(), 500);
});

test('a name that is hurried is worked on at once, unless it is not to be, or others are', async () => {
  const { loop, seen, held, release, run } = harness({ app: ['mount'], other: ['mount'], third: ['mount'] });
  loop.hurry('app');
  assert.deepEqual(seen, []);
  loop.enqueue(['app']);
  loop.hurry('app');
  assert.deepEqual(seen, ['app mount']);
  await run();
  assert.deepEqual(seen, ['app mount'], 'it has had its turn');
  loop.enqueue(['other', 'third']);
  loop.hurry('other');
  assert.equal(seen.length, 1);
  held.add('other');
  await run();
  loop.enqueue(['other']);
  loop.hurry('other');
  assert.deepEqual(seen, ['app mount', 'other mount', 'third mount']);
  release();
  await run();
  assert.ok(loop.idle());
});

test('light steps of all names are begun before any other goes on', async () => {
  const names = Array.from({ length: 100 }, (_, index) => `n${index}`);
  const { loop, seen, run } = harness(Object.fromEntries(names.map((name) => [name, ['signal', 'umount']])));
  loop.enqueue(names);
  await run();
  assert.deepEqual(
    seen.slice(0, 100),
    names.map((name) => `${name} signal`),
  );
  assert.equal(seen.length, 200);
});
