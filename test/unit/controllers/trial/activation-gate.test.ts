// What holds up a staged document: locks, gates and the look ahead, in this order; what is forced passes.
import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createActivationGate } from '../../../../controllers/trial/activation-gate.ts';
import type { Target } from '../../../../controllers/controller.ts';
import { createStore } from '../../../../state/store.ts';
import type { Gate } from '../../../../state/trial/gates.ts';
import { attempt, packageOf, target } from '../../../support/views.ts';

const never: Gate = {
  ...{ exists: null, absent: null, between: null, zone: 'UTC', exec: null, timeout: 60_000, every: 30_000 },
};

async function gated(t: TestContext, when: readonly Gate[]) {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-gate-'));
  const store = createStore();
  const said = { now: 1000, wall: Date.parse('2026-03-01T12:00:00Z'), deadline: null as number | null, rung: 0 };
  let ahead: readonly string[] = [];
  let staged: readonly Target[] = [];
  const failures: unknown[] = [];
  const gate = createActivationGate({
    ...{ state: store.get, staged: () => staged, lookAhead: () => Promise.resolve(ahead) },
    ...{ now: () => said.now, wallClock: () => said.wall },
    setDeadline: (at) => void (said.deadline = at),
    changed: () => void (said.rung += 1),
    blind: () => undefined,
    failed: (error) => failures.push(error),
    launcher: process.pid,
  });
  t.after(async () => {
    gate.close();
    await rm(directory, { recursive: true });
    assert.deepEqual(failures, []);
  });
  const record = {
    ...{ state: 'staged', confirmed: 1, generation: 2, since: 0, boots: 0, asked: [], before: [], dropped: [] },
    ...{ terms: { confirm: 'manual', soak: 0, within: 60_000, boots: 1, when }, boot: { id: '', at: 0 }, cause: null },
  } as const;
  store.update(
    (draft) => void (draft.trial = { record, waits: null, target: [], lacking: [], before: new Map() } as never),
  );
  /** Rings until it says what is expected. */
  const comes = async (what: RegExp | null): Promise<void> => {
    for (let tries = 0; ; tries++) {
      const waits = gate.waits();
      if (what === null ? waits === null : waits !== null && what.test(waits)) return;
      assert.ok(tries < 600, `${String(what)}: ${waits}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  return {
    ...{ directory, store, said, gate, comes },
    ahead: (findings: readonly string[]) => void (ahead = findings),
    stages: (...all: Target[]) => void (staged = all),
  };
}

test('a path that cannot be looked at is neither there nor gone', async (t) => {
  const place = await mkdtemp(join(tmpdir(), 'northstate-loop-'));
  t.after(() => rm(place, { recursive: true }));
  const loop = join(place, 'loop');
  await symlink(loop, loop);
  for (const [field, what] of [
    ['exists', /is there: ELOOP/],
    ['absent', /is gone: ELOOP/],
  ] as const) {
    const { gate } = await gated(t, [{ ...never, [field]: loop }]);
    assert.match(gate.waits() ?? '', what);
  }
});

test('a path that is to be there, or to be gone, is waited for and rings', async (t) => {
  const { directory, gate, comes, said } = await gated(t, []);
  assert.match(gate.waits() ?? '', /the host is looked at; generation 2 waits for it/);
  await comes(null);
  const parked = join(directory, 'parked');
  const busy = join(directory, 'busy');
  const of = await gated(t, [{ ...never, exists: parked, absent: busy }]);
  await writeFile(busy, '');
  await of.comes(new RegExp(`until ${parked} is there`));
  // The watch of each path rings once when it is there.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { rung } = of.said;
  await writeFile(parked, '');
  for (let tries = 0; of.said.rung === rung; tries++) {
    assert.ok(tries < 600, 'nobody rings');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await of.comes(new RegExp(`until ${busy} is gone`));
  await unlink(busy);
  await of.comes(null);
  assert.equal(of.said.deadline, null);
  assert.equal(said.deadline, null);
});

test('a time of day has a deadline, and counts in its zone', async (t) => {
  const { gate, said, comes } = await gated(t, [{ ...never, between: { from: 13 * 60, to: 14 * 60 } }]);
  assert.match(gate.waits() ?? '', /until 13:00-14:00 UTC; generation 2 waits/);
  assert.equal(said.deadline, 1000 + 3_600_000);
  said.wall = 0;
  assert.match(gate.waits() ?? '', /for the clock to be set/);
  said.wall = Date.parse('2026-03-01T13:00:00Z');
  await comes(null);
});

test('a program is asked without a shell, is bounded, and is asked again after a while', async (t) => {
  const { directory, comes, said } = await gated(t, []);
  const flag = join(directory, 'yes; rm -rf x');
  const asks = await gated(t, [{ ...never, exec: ['/usr/bin/test', '-e', flag] }]);
  await asks.comes(/waits for \/usr\/bin\/test, which says no \(exit status 1\)/);
  assert.equal(asks.said.deadline, 31_000);
  await writeFile(flag, '');
  await asks.comes(/says no/);
  asks.said.now = 31_000;
  await asks.comes(null);
  const hangs = await gated(t, [{ ...never, exec: ['/bin/sleep', '1000'], timeout: 200 }]);
  await hangs.comes(/was ended by SIGKILL, after 200 ms at most/);
  const missing = await gated(t, [{ ...never, exec: ['/nowhere/at/all'] }]);
  await missing.comes(/cannot be run: .*ENOENT/);
  await comes(null);
  assert.equal(said.deadline, null);
});

test('a lock of what would be replaced or stopped holds it up, of what stays it does not; what is forced passes all', async (t) => {
  const of = await gated(t, [{ ...never, exists: '/nowhere/at/all' }]);
  const goal = target('running', '1.0.0', packageOf('1.0.0'));
  const runs = attempt(7, '1.0.0', 'running');
  const locks = { console: 21_000, file: 0, since: 1 };
  of.store.observe('attempts', 'app', [{ ...runs, record: { ...runs.record, entry: goal.replacing, locks } }]);
  assert.match(
    of.gate.waits() ?? '',
    /^app:1\.0\.0 must not be interrupted, for 20 s at most; generation 2 waits for it$/,
  );
  assert.equal(of.said.deadline, 21_000);
  of.stages(goal);
  assert.match(of.gate.waits() ?? '', /nowhere/, 'it goes on as it is');
  of.stages(target('running', '2.0.0', packageOf('2.0.0')));
  assert.match(of.gate.waits() ?? '', /must not be interrupted/);
  of.said.now = 21_000;
  assert.match(of.gate.waits() ?? '', /nowhere/);
  of.store.update((draft) => void (draft.forced = 2));
  assert.equal(of.gate.waits(), null);
  assert.equal(of.said.deadline, null);
});

test('what the look ahead finds holds it up, and it looks again', async (t) => {
  const { ahead, comes, said } = await gated(t, []);
  ahead(['app: /gone is not there']);
  await comes(/app: \/gone is not there \(apply --force goes on\); generation 2/);
  assert.equal(said.deadline, 61_000);
  ahead([]);
  said.now = 61_000;
  await comes(null);
});

test('nothing but what is staged is held up: a way back goes on', async (t) => {
  const { gate, store } = await gated(t, [{ ...never, exists: '/nowhere/at/all' }]);
  assert.notEqual(gate.waits(), null);
  for (const state of ['active', 'reverting', 'confirmed', 'reverted'] as const) {
    store.update(({ trial }) => {
      if (trial !== null) trial.record.state = state;
    });
    assert.equal(gate.waits(), null, state);
  }
});
