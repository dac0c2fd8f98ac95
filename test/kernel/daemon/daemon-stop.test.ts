import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';
import { northstate, run } from '../../support/command.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { commandLine, endOf } from '../../support/container-processes.ts';
import { ended, endsClean, inits, logged, running, withDaemon } from '../../support/scenario.ts';
import { eventually } from '../../support/sleeper.ts';
import { killReconciler, untilLogged } from '../../support/successor.ts';

const SIGKILL = 9;

/** Says when it is told to end, and takes its time over it. */
const polite = (name: string) => probePackage({ name, args: ['signals', 'wait', '200', 'print', '1', 'ends'] });
/** Has to be killed. */
const stubborn = (name: string) => probePackage({ name, args: ['ignore', '15', 'print', '1', 'deaf', 'sleep'] });

test('SIGTERM stops dependents first, and each only when those above it have ended', async () => {
  const packages = await Promise.all(['base', 'middle', 'top'].map(polite));
  const entries = [
    'base: { version: 1.0.0, state: running }',
    'middle: { version: 1.0.0, state: running, dependsOn: { base: running } }',
    'top: { version: 1.0.0, state: running, dependsOn: { middle: running } }',
  ];
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages, document: (directory) => documentOf(directory, ...entries) });
  for (const name of ['base', 'middle', 'top'])
    await untilLogged(daemon, `"container":"${name}","target":"${name}:1.0.0"`);
  await endsClean(daemon, before);
  const ends = ['top', 'middle', 'base'].flatMap((name) => [`${name}: signal 15`, `${name}: ends`]);
  assert.deepEqual(logged(daemon).slice(-ends.length), ends);
});

test('TERM comes before KILL, and containers that do not depend on one another stop side by side', async () => {
  const names = ['deaf-1', 'deaf-2', 'deaf-3', 'deaf-4'];
  const packages = [...(await Promise.all(names.map(stubborn))), await polite('hears')];
  const entries = [...names, 'hears'].map((name) => `${name}: { version: 1.0.0, state: running, stop: { grace: 6s } }`);
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages, document: (directory) => documentOf(directory, ...entries) });
  for (const name of names) await untilLogged(daemon, `"container":"${name}","target":"${name}:1.0.0"`);
  await untilLogged(daemon, '"line":"ready"');
  const begun = performance.now();
  await endsClean(daemon, before);
  const took = performance.now() - begun;
  // One after the other they take 24 s.
  assert.ok(took > 5950 && took < 22_000, `it took ${took.toFixed(0)} ms`);
  assert.deepEqual(logged(daemon).slice(-2), ['hears: signal 15', 'hears: ends']);
});

test('a container that does not even die of SIGKILL is named, and its stop has a bound', async () => {
  const freezer = detectHierarchies().legacy.get('freezer');
  assert.ok(freezer !== undefined, 'this machine has no freezer of cgroup v1: on v2 everything dies of SIGKILL');
  // Who may mount is in every hierarchy.
  const held = await probePackage({ name: 'held', fields: 'capabilities: [CAP_SYS_ADMIN]' });
  const entries = ['held: { version: 1.0.0, state: running, stop: { grace: 0s } }'];
  await withDaemon([held], entries, async (daemon) => {
    const { pid } = await running(daemon, 'held');
    const state = join(freezer, daemon.mark, 'container-held', 'freezer.state');
    await writeFile(state, 'FROZEN');
    const { code, stderr } = await daemon.run('stop', 'held', '--timeout', '3s');
    assert.equal(code, 1, stderr);
    const named = new RegExp(`was killed and does not end: process ${pid ?? 0} .* in state D`);
    assert.match(stderr, named);
    await daemon.untilContainer('held', 'is named', ({ phase, conditions }) => {
      return phase === 'Stopping' && conditions.some(({ type, message }) => type === 'Degraded' && named.test(message));
    });
    await writeFile(state, 'THAWED');
    await daemon.untilContainer('held', 'has ended', ({ phase }) => phase === 'Mounted');
  });
});

test('shutdown stops everything, hangs up and leaves nothing', async () => {
  const before = openDescriptors();
  const packages = [await polite('hears')];
  await using daemon = await startDaemon({
    packages,
    document: (directory) => documentOf(directory, 'hears: { version: 1.0.0, state: running }'),
  });
  await untilLogged(daemon, '"line":"ready"');
  const { code, stderr } = await daemon.run('shutdown');
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  assert.equal(await ended(daemon), 0);
  assert.deepEqual(await leftovers(daemon.mark, before), []);
  assert.ok(logged(daemon).includes('hears: ends'));
  assert.equal((await daemon.run('get')).code, 5);
});

for (const [how, ask] of [
  ['SIGTERM', 'SIGTERM to the main process'],
  ['shutdown', 'shutdown'],
] as const) {
  test(`${ask} is brought to its end by the successor of a reconciler that dies over it`, async () => {
    const before = openDescriptors();
    const packages = [await stubborn('deaf'), await polite('hears')];
    const entries = ['deaf', 'hears'].map((name) => `${name}: { version: 1.0.0, state: running, stop: { grace: 2s } }`);
    await using daemon = await startDaemon({ packages, document: (directory) => documentOf(directory, ...entries) });
    await untilLogged(daemon, '"line":"ready"');
    await untilLogged(daemon, '"line":"deaf"');
    const asked = how === 'SIGTERM' ? process.kill(daemon.pid, how) : daemon.run('shutdown');
    await daemon.untilContainer('deaf', 'is told to stop', ({ phase }) => phase === 'Stopping');
    await killReconciler(daemon);
    assert.equal(await ended(daemon), 0, daemon.log());
    await asked;
    assert.deepEqual(await leftovers(daemon.mark, before), []);
    assert.equal(logged(daemon).filter((line) => line === 'hears: ready').length, 1, daemon.log());
  });
}

test('SIGTERM while there is no reconciler starts one that stops everything', async () => {
  await withDaemon([await polite('hears')], ['hears: { version: 1.0.0, state: running }'], async (daemon) => {
    await untilLogged(daemon, '"line":"ready"');
    await killReconciler(daemon);
  });
});

test('the death of the launcher takes containers, reconciler and mounts along; the next run takes over what is left', async () => {
  const before = openDescriptors();
  const names = ['always', 'never', 'dropped'];
  const packages = await Promise.all(
    names.map((name) =>
      probePackage({ name, args: ['print', '1', 'up', 'sleep'], fields: 'cgroups: { cpu: { shares: 100 } }' }),
    ),
  );
  const entries = [
    'always: { version: 1.0.0, state: running }',
    'never: { version: 1.0.0, state: running, restart: { policy: never } }',
  ];
  const dropped = 'dropped: { version: 1.0.0, state: running }';
  await using first = await startDaemon({
    packages,
    document: (directory) => documentOf(directory, ...entries, dropped),
  });
  for (const name of names) {
    await running(first, name);
    await untilLogged(first, `"container":"${name}","target":"${name}:1.0.0"`);
  }
  const processes = [...inits(first), first.reconciler() ?? 0];
  assert.equal(processes.length, names.length + 1);

  const ends = processes.map(endOf);
  process.kill(first.pid, 'SIGKILL');
  await Promise.all(ends);
  assert.equal(await first.exited, 'SIGKILL');
  const left = (await leftovers(first.mark, before, 1000)).map((line) => line.split(' /')[0]);
  assert.deepEqual([...new Set(left)], ['control group']);

  await first.write(documentOf(first.repository, ...entries));
  await using second = await startDaemon({ packages: [], directory: first.directory });
  const always = await running(second, 'always');
  assert.ok(!processes.includes(always.pid ?? 0));
  const never = await second.untilContainer('never', 'is not run again', ({ phase }) => phase === 'Exited');
  assert.equal(never.pid, null);
  await second.until('converged', ({ converged }) => converged);
  assert.equal(logged(second).filter((line) => line === 'never: up').length, 1);
  const groups = await leftovers(first.mark, before, 0);
  assert.deepEqual(
    groups.filter((line) => line.startsWith('control group') && line.includes('/dropped')),
    [],
  );
  await endsClean(second, before);
});

test('a second run on the same directories is refused and names the process that has them', async () => {
  await withDaemon([], [], async (daemon) => {
    const { code, stdout, stderr } = await run(northstate, ['run', '--config', join(daemon.directory, 'config.yaml')]);
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, new RegExp(`\\b${daemon.pid}\\b`));
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.ok(existsSync(join(daemon.runDir, 'console')));
    assert.equal((await daemon.run('get')).code, 0);
  });
});

test('a container that had to be killed at the end says so', async () => {
  await withDaemon(
    [await stubborn('deaf')],
    ['deaf: { version: 1.0.0, state: running, stop: { grace: 300ms } }'],
    async (daemon) => {
      await untilLogged(daemon, '"line":"deaf"');
      const stopped = await daemon.run('stop', 'deaf');
      assert.equal(stopped.code, 0, stopped.stderr);
      const { lastExit } = await daemon.untilContainer('deaf', 'is down', ({ phase }) => phase === 'Mounted');
      assert.deepEqual(lastExit, { signal: SIGKILL });
    },
  );
});

test('an end that is asked for while the runtime comes up waits for nothing to be begun', async (t) => {
  const app = await probePackage({ name: 'app' });
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [app],
    document: (directory) => documentOf(directory, 'app: { version: 1.0.0, state: running }'),
  });
  assert.equal(await daemon.stop(), 0);
  const log = join(daemon.directory, 'again');
  const output = openSync(log, 'w');
  const child = spawn(northstate, ['run', '--config', join(daemon.directory, 'config.yaml')], {
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  const exited = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  // Held at its very begin, it finds the request when it goes on.
  await eventually('a reconciler', daemon, () => reconcilerOf(child.pid ?? 0) !== null);
  const reconciler = reconcilerOf(child.pid ?? 0) ?? 0;
  process.kill(reconciler, 'SIGSTOP');
  child.kill('SIGTERM');
  process.kill(reconciler, 'SIGCONT');
  assert.deepEqual(await exited, [0, null]);
  const said = readFileSync(log, 'utf8');
  assert.match(said, /ended before anything was begun/);
  assert.doesNotMatch(said, /new document|mounted|"msg":"ready"/);
  assert.deepEqual(await leftovers(daemon.mark, before), []);
});

/** The reconciler from the moment on in which it is one. */
function reconcilerOf(pid: number): number | null {
  const [first = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
  return first !== '' && /^[^\0]*node\0.*daemon\.(cjs|ts)\0/.test(commandLine(first)) ? Number(first) : null;
}
