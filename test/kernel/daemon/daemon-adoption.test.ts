import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { documentOf } from '../../support/test-daemon.ts';
import { probePackage } from '../../support/packages.ts';
import { inits, lines, running, runningAs, withDaemon } from '../../support/scenario.ts';
import { killReconciler, succeed, successor, timesReady, untilLogged } from '../../support/successor.ts';

const SIGKILL = 9;

test('a killed reconciler leaves containers alone, and its successor knows all about them', async () => {
  const steady = await probePackage({ name: 'steady', args: ['print', '1', 'here I am', 'sleep'] });
  const restarted = await probePackage({ name: 'restarted', args: ['print', '2', 'again', 'sleep'] });
  const done = await probePackage({ name: 'done', args: ['print', '1', 'bye', 'exit', '7'] });
  const entries = [
    'steady: { version: 1.0.0, state: running }',
    'restarted: { version: 1.0.0, state: running, restart: { backoff: 10ms } }',
    'done: { version: 1.0.0, state: running, restart: { policy: never } }',
  ];
  await withDaemon([steady, restarted, done], entries, async (daemon) => {
    const first = await running(daemon, 'restarted');
    process.kill(first.pid ?? 0, 'SIGKILL');
    await running(daemon, 'restarted', 1);
    await daemon.untilContainer('done', 'has ended', ({ phase }) => phase === 'Exited');
    const before = await daemon.until('converged', ({ converged }) => converged);

    const after = await succeed(daemon);
    const settled = await daemon.until('converged again', ({ converged }) => converged);
    for (const status of [after, settled]) {
      for (const name of ['steady', 'restarted']) {
        assert.equal(status.containers[name]?.pid, before.containers[name]?.pid);
        assert.equal(status.containers[name]?.phase, 'Running');
      }
    }
    assert.equal(settled.containers['restarted']?.restarts, 1);
    assert.deepEqual(settled.containers['restarted'].lastExit, { signal: SIGKILL });
    assert.equal(settled.containers['done']?.phase, 'Exited');
    assert.deepEqual(settled.containers['done'].lastExit, { code: 7 });
    assert.equal(settled.generation, before.generation);
    assert.deepEqual(await lines(daemon, 'steady'), ['here I am']);
    assert.deepEqual(await lines(daemon, 'done'), ['bye']);
  });
});

test('ps shows whose init a process is, and which the reconciler is, also its successor after a crash', async () => {
  const shown = (pid: number | null) =>
    ['cmdline', 'comm'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1').replace(/[\0\n]+$/, ''));
  const long = `${'long-'.repeat(20)}name`;
  const [app, other] = [await probePackage({ name: 'app' }), await probePackage({ name: long })];
  const entries = ['app', long].map((name) => `${name}: { version: 1.0.0, state: running, prepare: true }`);
  await withDaemon([app, other], entries, async (daemon) => {
    const reconciler = ['northstate reconciler', 'northstate reco'];
    assert.deepEqual(shown((await running(daemon, 'app')).pid), ['northstate: app', 'northstate: app']);
    const [title = '', comm] = shown((await running(daemon, long)).pid);
    assert.ok(`northstate: ${long}`.startsWith(title) && title.startsWith('northstate: long-long-'), title);
    assert.equal(comm, 'northstate: lon');
    assert.deepEqual(shown(daemon.reconciler()), reconciler);
    await succeed(daemon);
    assert.deepEqual(shown(daemon.reconciler()), reconciler);
    const found = await leftovers(daemon.mark, openDescriptors(), 0);
    assert.ok(found.includes(`process ${daemon.reconciler()}: northstate reconciler`), found.join('\n'));
  });
});

test('a start that was under way when the reconciler died is finished by its successor', async () => {
  const late = await probePackage({ name: 'late', args: ['print', '1', 'started', 'sleep'] });
  await withDaemon([late], ['late: { version: 1.0.0, state: mounted }'], async (daemon) => {
    await daemon.untilContainer('late', 'is mounted', ({ phase }) => phase === 'Mounted');
    const nth = await timesReady(daemon);
    process.kill(daemon.pid, 'SIGSTOP');
    try {
      await daemon.write(documentOf(daemon.repository, 'late: { version: 1.0.0, state: running }'));
      await daemon.untilContainer('late', 'is being started', ({ phase }) => phase === 'Starting');
      await killReconciler(daemon);
    } finally {
      process.kill(daemon.pid, 'SIGCONT');
    }
    await successor(daemon, nth + 1);
    const { restarts } = await running(daemon, 'late');
    assert.equal(restarts, 0);
    await daemon.until('converged', ({ converged }) => converged);
    assert.deepEqual(await lines(daemon, 'late'), ['started']);
  });
});

test('a stop that was under way is brought to its end: KILL follows at the old deadline', async () => {
  const stubborn = await probePackage({ name: 'stubborn', args: ['ignore', '15', 'print', '1', 'ready', 'sleep'] });
  const entry = (state: string) => `stubborn: { version: 1.0.0, state: ${state}, stop: { grace: 10s } }`;
  await withDaemon([stubborn], [entry('running')], async (daemon) => {
    const { pid } = await running(daemon, 'stubborn');
    await untilLogged(daemon, '"line":"ready"');
    await daemon.write(documentOf(daemon.repository, entry('mounted')));
    const stopping = await daemon.untilContainer('stubborn', 'is told to stop', ({ phase }) => phase === 'Stopping');
    const begun = performance.now();
    // A deadline of its successor's own would be 16 s after the signal.
    await delay(6000);
    const after = await succeed(daemon);
    assert.equal(after.containers['stubborn']?.phase, 'Stopping');
    assert.equal(after.containers['stubborn'].pid, pid);
    const down = await daemon.untilContainer('stubborn', 'is down', ({ phase }) => phase === 'Mounted');
    const took = performance.now() - begun;
    assert.deepEqual(down.lastExit, { signal: SIGKILL });
    assert.ok(took > 9500 && took < 15_500, `KILL came ${took.toFixed(0)} ms after ${stopping.since}`);
  });
});

test('a restart that is waited for stays due at the same time', async () => {
  const failing = await probePackage({ name: 'failing', args: ['print', '1', 'try', 'exit', '3'] });
  const entry = 'failing: { version: 1.0.0, state: running, restart: { backoff: 4s, maxBackoff: 4s } }';
  await withDaemon([failing], [entry], async (daemon) => {
    const before = await daemon.untilContainer('failing', 'waits', ({ phase }) => phase === 'Backoff');
    const due = Date.parse(before.nextRestart ?? '');
    const status = await succeed(daemon);
    const after = status.containers['failing'];
    assert.equal(after?.phase, 'Backoff');
    assert.deepEqual(after.lastExit, { code: 3 });
    assert.deepEqual(await lines(daemon, 'failing'), ['try']);
    assert.ok(
      Math.abs(Date.parse(after.nextRestart ?? '') - due) < 50,
      `${after.nextRestart} was ${before.nextRestart}`,
    );
    const again = await daemon.untilContainer(
      'failing',
      'has been restarted',
      ({ restarts, phase }) => phase === 'Backoff' && restarts === 1,
    );
    assert.ok(Date.parse(again.since) >= due - 50, `${again.since} is before ${before.nextRestart}`);
  });
});

test('exits are learned of, also when the reconciler dies a second time before it can act on them', async () => {
  const names = ['answered', 'unanswered'];
  const packages = await Promise.all(names.map((name) => probePackage({ name, args: ['print', '1', 'up', 'sleep'] })));
  const entries = [
    'answered: { version: 1.0.0, state: running, restart: { backoff: 10ms } }',
    'unanswered: { version: 1.0.0, state: running, restart: { policy: never } }',
  ];
  await withDaemon(packages, entries, async (daemon) => {
    const old = await Promise.all(names.map((name) => running(daemon, name)));
    const nth = await timesReady(daemon);
    await killReconciler(daemon);
    for (const { pid } of old) process.kill(pid ?? 0, 'SIGKILL');
    await untilLogged(daemon, '"msg":"the reconciler has started"', 2);
    process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
    await successor(daemon, nth + 1);

    const answered = await running(daemon, 'answered', 1);
    assert.deepEqual(answered.lastExit, { signal: SIGKILL });
    const unanswered = await daemon.untilContainer('unanswered', 'stays down', ({ phase }) => phase === 'Exited');
    assert.deepEqual(unanswered.lastExit, { signal: SIGKILL });
    assert.deepEqual(await lines(daemon, 'answered'), ['up', 'up']);
    assert.deepEqual(await lines(daemon, 'unanswered'), ['up']);
  });
});

test('a sandbox that was prepared before the reconciler died is the one that starts afterwards', async () => {
  const names = ['base', 'dependent'];
  const packages = await Promise.all(names.map((name) => probePackage({ name })));
  const base = (state: string) => `base: { version: 1.0.0, state: ${state} }`;
  const dependent = 'dependent: { version: 1.0.0, state: running, dependsOn: { base: running } }';
  await withDaemon(packages, [base('mounted'), dependent], async (daemon) => {
    await untilLogged(daemon, '"op":"prepare","container":"dependent"');
    const prepared = inits(daemon);
    assert.equal(prepared.length, 1);
    await succeed(daemon);
    await daemon.write(documentOf(daemon.repository, base('running'), dependent));
    const { pid } = await running(daemon, 'dependent');
    assert.deepEqual([pid], prepared);
  });
});

test('five deaths on one generation put the one before it into force, until there is a new document', async () => {
  const old = await probePackage({ name: 'app', args: ['print', '1', 'old', 'sleep'] });
  const next = await probePackage({ name: 'app', version: '1.1.0', args: ['print', '1', 'new', 'sleep'] });
  const better = await probePackage({ name: 'app', version: '1.2.0', args: ['print', '1', 'better', 'sleep'] });
  const entry = (version: string) => `app: { version: ${version}, state: running }`;
  await withDaemon([old, next, better], [entry('1.0.0')], async (daemon) => {
    await running(daemon, 'app');
    await daemon.write(documentOf(daemon.repository, entry('1.1.0')));
    await runningAs(daemon, 'app', '1.1.0');
    for (let deaths = 1; deaths <= 5; deaths++) {
      const nth = await timesReady(daemon);
      await killReconciler(daemon, 'SIGSEGV');
      const { document } = await successor(daemon, nth + 1);
      assert.equal(document.status, deaths < 5 ? 'ok' : 'invalid', `after ${deaths} deaths\n${daemon.log()}`);
    }
    await untilLogged(daemon, 'generation given up: the reconciler died on it again and again');
    const back = await runningAs(daemon, 'app', '1.0.0');
    assert.notEqual(back.pid, null);
    const { document } = await daemon.until('the status', () => true);
    assert.equal(document.generation, 1);
    assert.match(document.error?.message ?? '', /generation 2 .* generation 1 is in force/);

    await daemon.write(documentOf(daemon.repository, entry('1.2.0')));
    const mended = await daemon.until('1.2.0 runs', ({ containers }) => {
      return containers['app']?.version === '1.2.0' && containers['app'].phase === 'Running';
    });
    assert.equal(mended.document.status, 'ok');
    assert.equal(mended.document.error, null);
  });
});
