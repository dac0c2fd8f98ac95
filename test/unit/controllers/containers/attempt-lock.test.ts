// Locks: what they hold up, for how long, and what they do not.
import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { keepLock } from '../../../../controllers/containers/attempt-lock.ts';
import { decodeRecord } from '../../../../controllers/containers/attempt-record.ts';
import { madeOf } from '../../../../controllers/containers/candidate.ts';
import { decide } from '../../../../controllers/containers/containers-plan.ts';
import { followLockFiles } from '../../../../controllers/containers/lock-files.ts';
import type { Target, View } from '../../../../controllers/controller.ts';
import type { AttemptLocks, ObservedAttempt } from '../../../../state/observed.ts';
import { lockedUntil } from '../../../../state/locked-until.ts';
import { createStore } from '../../../../state/store.ts';
import { attempt, mountOf, packageOf, target, view } from '../../../support/views.ts';

/** 1.0.0 runs, 2.0.0 is wanted and prepared, and starts when that has ended. */
function replaced(
  locks: AttemptLocks | undefined,
  fields: Partial<View> = {},
  entry: Partial<Target['entry']> = {},
): View {
  const goal = target('running', '2.0.0', packageOf('2.0.0'), entry);
  const base = view({
    targets: [goal],
    packages: [packageOf('2.0.0'), packageOf('1.0.0')],
    mounts: [mountOf('1.0.0'), mountOf('2.0.0')],
    now: 1000,
    ...fields,
  });
  const old = attempt(7, '1.0.0', 'running');
  const next = attempt(8, '2.0.0', 'prepared');
  const made = madeOf(base, goal) ?? '';
  const { locks: _, ...record } = old.record;
  return {
    ...base,
    attempts: [
      { ...old, record: { ...record, ...(locks !== undefined && { locks }) } },
      { ...next, after: 7, record: { ...next.record, entry: goal.replacing, made } },
    ],
  };
}

const signalOf = (of: View) => decide(of).steps.find(({ op }) => op === 'signal');

test('a lock holds up the stop for a replacement, says for how long, and is looked at again when it ends', () => {
  assert.equal(signalOf(replaced(undefined))?.waits, null);
  const held = replaced({ console: 61_000, file: 0, since: 1 });
  assert.match(signalOf(held)?.waits ?? '', /^a lock holds it up for 60 s at most, unless app gives it back$/);
  assert.equal(decide(held).wake, 61_000);
  assert.notEqual(signalOf(replaced({ console: 0, file: 2000, since: 1 }))?.waits, null);
  assert.equal(signalOf(replaced({ console: 1000, file: 900, since: 1 }))?.waits, null, 'it is over');
});

test('what goes back, what is forced, a stop and another run of the same are not held up', () => {
  const locks = { console: 61_000, file: 61_000, since: 1 };
  assert.equal(signalOf(replaced(locks, { passesLocks: true }))?.waits, null);
  const gone = { ...replaced(locks), targets: [] };
  assert.equal(signalOf(gone)?.waits, null);
  const goal = target('running', '1.0.0', packageOf('1.0.0'), { run: { id: 4, init: null, args: null, env: null } });
  const again = replaced(locks);
  const same = again.attempts.map((each) =>
    each.id === 7 ? { ...each, record: { ...each.record, entry: goal.replacing, run: 3 } } : each,
  );
  const restarted: View = { ...again, targets: [goal], attempts: same.slice(0, 1) };
  assert.doesNotMatch(signalOf(restarted)?.waits ?? '', /lock/);
});

test('a lock is in the record that the launcher keeps, and only what changes is written', async () => {
  const written: [number, Uint8Array][] = [];
  const seen: ObservedAttempt[] = [];
  const ports = {
    record: (id: number, bytes: Uint8Array) => Promise.resolve(void written.push([id, bytes])),
    observe: (each: ObservedAttempt) => void seen.push(each),
  };
  const runs = attempt(7, '1.0.0', 'running');
  const at = (now: number) => ({ now, max: 4000 });
  assert.equal(await keepLock(runs, 'console', 5000, at(2000), ports), 5000);
  const [kept] = seen;
  assert.ok(kept !== undefined && lockedUntil(kept) === 5000);
  assert.equal(decodeRecord(written[0]?.[1] ?? Buffer.alloc(0)).locks?.console, 5000);
  // Whoever asks again and again, one way or the other, comes to the end of the stretch.
  assert.equal(await keepLock(kept, 'file', 9000, at(4900), ports), 6000);
  const [, both] = seen;
  assert.ok(both !== undefined);
  assert.deepEqual(both.record.locks, { console: 5000, file: 6000, since: 2000 });
  assert.ok((await keepLock(both, 'console', 9000, at(6000), ports)) <= 6000);
  assert.ok((await keepLock(both, 'console', 9000, at(6900), ports)) <= 6900);
  assert.equal(written.length, 2, 'what changes nothing is not written');
  assert.equal(await keepLock(both, 'console', 9000, at(7000), ports), 9000, 'what waited has gone');
  const last = seen.at(-1);
  assert.ok(last !== undefined);
  await keepLock(last, 'console', 7500, at(7500), ports);
  assert.equal(lockedUntil(seen.at(-1) ?? runs), 7500, 'given back');
});

test('a file holds as long as it is there, from its last change on, and no link is followed', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-lock-'));
  const file = join(directory, 'busy');
  const store = createStore();
  const entry = target('running', '1.0.0', packageOf('1.0.0'), { lock: { max: 60_000, file } }).entry;
  let clock = 1000;
  let wall = Date.now();
  const observe = (each: ObservedAttempt): void => store.observe('attempts', 'app', [each]);
  store.update((draft) => void draft.desired.containers.set('app', entry as never));
  observe(attempt(7, '1.0.0', 'running'));
  const failures: unknown[] = [];
  const follow = followLockFiles({
    ...{ store, observe, record: () => Promise.resolve(), now: () => clock, wallClock: () => wall },
    blind: () => undefined,
    failed: (error) => failures.push(error),
  });
  t.after(async () => {
    follow.close();
    await rm(directory, { recursive: true });
  });
  const until = (): number =>
    lockedUntil(store.get().observed.attempts.get('app')?.[0] ?? attempt(1, '1.0.0', 'running'));
  const comes = async (what: string, holds: () => boolean): Promise<void> => {
    for (let tries = 0; !holds(); tries++) {
      assert.ok(tries < 600, `${what}: ${until()}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await writeFile(file, '');
  await comes('held', () => Math.abs(until() - 61_000) < 5000);
  await unlink(file);
  await comes('given back', () => until() <= clock);
  clock += 2000;
  await symlink('/nowhere/at/all', file);
  await comes('a link is a file like others', () => until() > clock);
  await unlink(file);
  await comes('given back again', () => until() <= clock);
  // The clock has been set back: what seems to come from the future holds nothing.
  wall -= 3_600_000;
  clock = 6000;
  await writeFile(file, '');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(until() <= clock);
  assert.deepEqual(failures, []);
});
