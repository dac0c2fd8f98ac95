// Which of the runs of a name is joined.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSessions } from '../../../src/sessions/sessions.ts';
import type { ObservedAttempt } from '../../../state/observed.ts';
import { attempt, packageOf, target, view } from '../../support/views.ts';

const request = {
  does: { exec: ['/bin/true'] },
  input: false,
  terminal: null,
  privileged: false,
  shell: false,
} as const;
const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const leaf = { directory: null, procs: [], oom: null, close: () => undefined };
const stops = (run: ObservedAttempt): ObservedAttempt => ({
  ...run,
  record: { ...run.record, stop: { deadline: 0, killed: false } },
});

/** The attempt that is joined. */
async function joined(attempts: readonly ObservedAttempt[]): Promise<number> {
  const asked: number[] = [];
  const targets = ['1.0.0', '2.0.0'].map((version) => target('running', version, packageOf(version)));
  const sessions = createSessions({
    launcher: {
      join: ({ attempt: id }) => Promise.resolve(void asked.push(id)),
      signal: () => Promise.resolve(),
      watch: () => Promise.resolve(),
      rearm: () => Promise.resolve(),
      unwatch: () => Promise.resolve(),
    },
    view: () => view({ attempts, targets }),
    leaf: () => Promise.resolve(leaf),
    selinux: false,
    dataDir: '/data',
    tell: () => undefined,
    hold: () => () => undefined,
  });
  const session = await sessions.open('app', { ...request, user }, 'somebody');
  await session.close();
  return asked[0] ?? 0;
}

test('a run that goes on is joined, though what it has replaced is still there', async () => {
  assert.equal(await joined([attempt(1, '1.0.0')]), 1);
  assert.equal(await joined([stops(attempt(1, '1.0.0')), attempt(2, '2.0.0')]), 2);
});

test('what is about to be stopped, or does not run, is joined by nobody', async () => {
  await assert.rejects(joined([stops(attempt(1, '1.0.0'))]), /app is about to be stopped/);
  await assert.rejects(joined([attempt(1, '1.0.0', 'exited')]), /app is not running/);
});
