// What runs at its times, and what somebody runs once, on the real kernel.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { StampedEvent } from '../../../src/client/northstate.ts';
import { northstate } from '../../support/command.ts';
import { probePackage } from '../../support/packages.ts';
import { ended, running, withDaemon } from '../../support/scenario.ts';
import { asleep, eventually, statusOf, withSleeper } from '../../support/sleeper.ts';
import { killReconciler } from '../../support/successor.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

const tick = await probePackage({ name: 'tick', args: ['print', '1', 'tick', 'wait', '50'] });

/** Everything that was told of a container: how often it started, and ended. */
async function counts(daemon: Daemon, container: string): Promise<{ started: number; ended: number }> {
  const { code, stdout, stderr } = await daemon.run('events', '-o', 'json');
  assert.equal(code, 0, stderr);
  const events = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as StampedEvent).event as unknown);
  const of = (kind: string): number =>
    events.filter((event) =>
      [JSON.stringify(event)].some((json) => json.startsWith(`{"${kind}":`) && json.includes(`"${container}"`)),
    ).length;
  return { started: of('started'), ended: of('exit') };
}

test('a container runs at its times, one run after the other, whoever dies or sleeps meanwhile', async () => {
  const entries = [
    'tick: { state: running, schedule: { every: 1s } }',
    'later: { state: running, schedule: { cron: "0 4 1 1 *", zone: Europe/Berlin } }',
    'after: { state: running, dependsOn: { tick: succeeded } }',
  ];
  const packages = await Promise.all([probePackage({ name: 'later' }), probePackage({ name: 'after' })]);
  await withSleeper(
    [tick, ...packages],
    entries,
    async (daemon) => {
      await asleep(daemon);
      await killReconciler(daemon);
      let { tick: seen, later, after } = (await statusOf(daemon)).containers;
      while ((seen?.schedule?.last?.exit ?? null) === null || after?.phase !== 'Running') {
        await asleep(daemon);
        ({ tick: seen, later, after } = (await statusOf(daemon)).containers);
      }
      assert.deepEqual(seen?.schedule?.last?.exit, { code: 0 });
      assert.equal(later?.phase, 'Scheduled');
      assert.match(later.schedule?.next ?? '', /^\d{4}-01-01T03:00:00\.\d+Z$/);
      const table = (await daemon.run('get')).stdout;
      assert.match(table, /later .* Scheduled .* next \d{4}-01-01T03:00:00Z/);
      assert.match(
        (await daemon.run('explain', 'later')).stdout,
        /later is as the document wants it\nnext \d{4}-01-01/,
      );
      assert.match((await daemon.run('describe', 'later')).stdout, /NEXT RUN +\d{4}-01-01T03:00:00/);
      const { serial, files } = recordsOf(daemon);
      const { started } = await counts(daemon, 'tick:1.0.0');
      assert.ok(started >= 2 && started <= serial + 1, `${started} runs of ${serial} that were due`);
      assert.equal(files, 2);
      assert.equal((await daemon.run('wait', '--timeout', '30s')).code, 0, 'what waits for its time is reached');
    },
    '100ms',
  );
});

/** The number of runs of `tick` that were due, and how many names have a record. */
function recordsOf(daemon: Daemon): { serial: number; files: number } {
  const directory = join(daemon.directory, 'state/schedules');
  const all = readdirSync(directory).filter((file) => file.endsWith('.json'));
  const stored = all.map(
    (file) => JSON.parse(readFileSync(join(directory, file), 'utf8')) as { name: string; record: { serial: number } },
  );
  return { serial: stored.find(({ name }) => name === 'tick')?.record.serial ?? 0, files: all.length };
}

test('run-once gives the exit code of one run, and the document is as it was', async () => {
  const packages = await Promise.all([
    probePackage({ name: 'job', args: ['print', '1', 'plain', 'exit', '7'] }),
    probePackage({ name: 'idle' }),
    probePackage({ name: 'bare', args: ['exit', '3'] }),
    probePackage({ name: 'missing', fields: 'init: /nothing' }),
  ]);
  const entries = [
    'job: { state: running, restart: { policy: never } }',
    'idle: { state: installed }',
    'missing: { state: mounted }',
  ];
  await withDaemon(packages, entries, async (daemon) => {
    await daemon.untilContainer('job', 'has ended', ({ phase }) => phase === 'Exited');
    const before = await statusOf(daemon);
    const other = await daemon.run('run-once', 'job', '--', 'print', '1', 'once', 'print', '2', 'aside', 'exit', '5');
    assert.deepEqual(other, { code: 5, stdout: 'once\n', stderr: 'aside\n' });
    assert.equal((await daemon.run('run-once', 'job')).code, 7);
    const unasked = await daemon.run('logs', 'bare');
    assert.match(unasked.stderr, /bare is installed \(bare:1\.0\.0\) and nothing asks for it/);
    assert.equal((await daemon.run('run-once', 'bare')).code, 3, 'it has no entry');
    assert.equal((await daemon.run('logs', 'bare')).code, 0);
    const late = await daemon.run('run-once', '--timeout', '200ms', 'idle');
    assert.equal(late.code, 128 + 15);
    assert.match(late.stderr, /has run for longer than its timeout/);
    const broken = await daemon.run('run-once', 'missing');
    assert.equal(broken.code, 126);
    assert.match(broken.stderr, /missing:1\.0\.0.*\/nothing/);
    assert.match((await daemon.run('run-once', 'nobody')).stderr, /nobody is not installed/);

    const child = spawn(northstate, ['run-once', 'idle', '--', 'signals'], {
      env: { ...process.env, NORTHSTATE_CONSOLE: daemon.console },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await running(daemon, 'idle');
    assert.match((await daemon.run('run-once', 'idle')).stderr, /is run once already/);
    child.kill('SIGINT');
    await eventually('ctrl-C is passed on', daemon, async () =>
      (await daemon.run('logs', 'idle')).stdout.includes('signal 2'),
    );
    child.kill('SIGTERM');
    const [said] = await Promise.all([text(child.stdout), once(child, 'close')]);
    assert.match(said, /signal 2\n/);

    const hanging = spawn(northstate, ['run-once', 'idle'], {
      env: { ...process.env, NORTHSTATE_CONSOLE: daemon.console },
      stdio: 'ignore',
    });
    await running(daemon, 'idle');
    hanging.kill('SIGKILL');
    const gone = await daemon.untilContainer('idle', 'is ended with who waited', ({ phase }) => phase === 'Installed');
    assert.equal(gone.desired, 'installed');

    const now = await statusOf(daemon);
    assert.deepEqual(
      Object.entries(now.containers).map(([key, { phase, lastExit }]) => [key, phase, lastExit]),
      Object.entries(before.containers).map(([key, { phase, lastExit }]) => [key, phase, lastExit]),
    );
    assert.equal(now.generation, before.generation);
    const events = (await daemon.run('events')).stdout;
    assert.match(events, /job:1\.0\.0 is run once by extern:0\.0\.0/);
    assert.match(events, /run once ended job:1\.0\.0 exit code 5|run once ended job:1\.0\.0 5/);
  });
});

test('a run that is under way goes on when its entry changes, and what is no schedule any more is forgotten', async () => {
  const slow = await probePackage({ name: 'slow', args: ['wait', '1500'] });
  const entry = (fields: string): string => `slow: { state: running, ${fields} }`;
  await withDaemon([slow], [entry('schedule: { every: 1h }')], async (daemon) => {
    const { pid } = await running(daemon, 'slow');
    const changed = readFileSync(daemon.document, 'utf8').replace('every: 1h }', 'every: 1h }, env: { A: b }');
    await daemon.write(changed);
    const over = await daemon.untilContainer('slow', 'has run', ({ phase, pid: now }) => {
      assert.ok(now === null || now === pid, 'it is another run');
      return phase === 'Scheduled';
    });
    assert.deepEqual(over.lastExit, { code: 0 });
    await daemon.write(changed.replace('state: running', 'state: mounted'));
    await daemon.untilContainer('slow', 'is mounted', ({ phase }) => phase === 'Mounted');
    const records = join(daemon.directory, 'state/schedules');
    await eventually('its record is removed', daemon, () => readdirSync(records).length === 0);
  });
});

test('where nothing can be written schedules go on, and it is said', async () => {
  await withDaemon([tick], ['tick: { state: installed }'], async (daemon) => {
    const directory = join(daemon.directory, 'state/schedules');
    rmSync(directory, { recursive: true, force: true });
    writeFileSync(directory, '');
    await daemon.write(
      readFileSync(daemon.document, 'utf8').replace('state: installed', 'state: running, schedule: { every: 1s }'),
    );
    const seen = await daemon.until('two runs', ({ containers, conditions }) => {
      const last = containers['tick']?.schedule?.last ?? null;
      return last !== null && last.exit !== null && conditions.some(({ type }) => type === 'NotDurable');
    });
    assert.match(
      seen.conditions.map(({ message }) => message).join(),
      /the schedule of tick: ENOTDIR|the schedule of tick: EEXIST/,
    );
    rmSync(directory);
    await daemon.until('it is durable again', ({ conditions }) => conditions.length === 0);
  });
});

// A time namespace moves the clocks of the boot (time_namespaces(7)); the wall clock has none: it is moved in the simulation.
test('what the boot clock has passed while nobody was there is made up for once, and nothing before its time', async () => {
  const hourly = (directory: string): string =>
    documentOf(directory, 'tick: { state: running, schedule: { every: 1h } }');
  const has = (runs: number) => async (daemon: Daemon) => {
    await daemon.untilContainer(
      'tick',
      `waits after run ${runs}`,
      ({ phase, schedule }) =>
        phase === 'Scheduled' && (schedule?.last?.exit ?? null) !== null && recordsOf(daemon).serial === runs,
    );
  };
  const first = await startDaemon({ packages: [tick], document: hourly });
  const { directory } = first;
  const all = [first];
  try {
    await has(1)(first);
    assert.equal(await first.stop(), 0);
    for (const [seconds, runs] of [
      [1800, 1],
      [3 * 3600, 2],
    ] as const) {
      // It waits for its child, and takes no signal meanwhile.
      const prefix = ['unshare', '--kill-child', '--time', '--boottime', String(seconds)];
      const later = await startDaemon({ packages: [], directory, prefix });
      all.push(later);
      await has(runs)(later);
      assert.equal((await later.run('shutdown')).code, 0);
      assert.equal(await ended(later), 0);
    }
  } finally {
    // The directory is everybody's.
    for (const each of all) await each[Symbol.asyncDispose]();
  }
});
