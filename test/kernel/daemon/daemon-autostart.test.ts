// What packages start by themselves, and what becomes of the runtime when a critical one fails; the configuration's debug
// commands beside them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { childrenOf } from '../../../native/processes.ts';
import { startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage, type ProbePackage } from '../../support/packages.ts';
import { ended, logged, running } from '../../support/scenario.ts';
import { killReconciler, timesReady, successor, untilLogged } from '../../support/successor.ts';

const bystander = await probePackage({
  name: 'bystander',
  args: ['signals', 'print', '1', 'ends'],
  fields: 'autostart: relaxed\n',
});
const starting = (fields: Partial<ProbePackage> & { readonly kind: 'relaxed' | 'critical' }) =>
  probePackage({ name: 'app', ...fields, fields: `autostart: ${fields.kind}\n${fields.fields ?? ''}` });

/** Runs packages that start by themselves, without a document. */
async function withPackages(
  packages: readonly string[],
  body: (daemon: Daemon) => Promise<void>,
  { mayEnd = false } = {},
): Promise<void> {
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages,
    mayEnd,
    document: (directory) => `apiVersion: northstate/v1
repositories:
  packages: { type: fs, dir: ${directory} }
...
`,
  });
  await body(daemon);
  assert.deepEqual(await leftovers(daemon.mark, before), []);
}

const failures: readonly (readonly [string, Partial<ProbePackage>, RegExp])[] = [
  ['ends with another code than 0', { args: ['wait', '300', 'exit', '7'] }, /app ended with exit code 7/],
  ['is ended by a signal', { args: ['wait', '300', 'raise', '11'] }, /app ended with SIGSEGV/],
  ['has an init that does not exist', { fields: 'init: /nothing\n' }, /app could not start: exec/],
  [
    'lacks its resource',
    { fields: 'mounts: { /data: { type: resource, name: data, version: ^1, dir: / } }\n' },
    /app could not start: the resource data \^1 is not installed/,
  ],
];

for (const [what, fields, reason] of failures) {
  test(`a critical container that ${what} ends the runtime with status 1, after an orderly stop of the others`, async () => {
    const app = await starting({ ...fields, kind: 'critical' });
    await withPackages(
      [bystander, app],
      async (daemon) => {
        assert.equal(await ended(daemon), 1);
        assert.match(daemon.log(), reason);
        const said = logged(daemon).filter((line) => line.startsWith('bystander'));
        // The failure may come before the other one has begun.
        const orderly = said.length === 0 ? [] : ['bystander: ready', 'bystander: signal 15', 'bystander: ends'];
        assert.deepEqual(said, orderly);
      },
      { mayEnd: true },
    );
  });
}

test('a critical container that ends with 0, and a relaxed one that fails, leave the runtime running', async () => {
  const packages = [
    bystander,
    await starting({ kind: 'critical', args: ['exit', '0'] }),
    await probePackage({ name: 'loose', args: ['exit', '7'], fields: 'autostart: relaxed\n' }),
  ];
  await withPackages(packages, async (daemon) => {
    await daemon.until('all have run', ({ containers }) =>
      ['app', 'loose'].every((name) =>
        Object.entries(containers).some(([key, { phase }]) => key.startsWith(name) && phase === 'Exited'),
      ),
    );
    await running(daemon, 'bystander:1.0.0');
    assert.equal(await daemon.stop(), 0, daemon.log());
  });
});

test('what has started by itself is paused, resumed and stopped like everything else', async () => {
  await withPackages([bystander], async (daemon) => {
    const container = 'bystander:1.0.0';
    const { pid } = await running(daemon, container);
    assert.equal((await daemon.run('pause', 'bystander')).stdout, `${container} paused\n`);
    const { paused, pid: same } = await daemon.untilContainer(container, 'is paused', (each) => each.paused);
    assert.deepEqual([paused, same], [true, pid]);
    assert.equal((await daemon.run('resume', 'bystander')).stdout, `${container} resumed\n`);
    assert.equal((await daemon.run('stop', 'bystander')).stdout, `${container} stopped\n`);
    assert.deepEqual(logged(daemon).slice(-2), ['bystander: signal 15', 'bystander: ends']);
    assert.equal(await daemon.stop(), 0, daemon.log());
  });
});

test('a shutdown, which ends critical containers by a signal, has status 0', async () => {
  await withPackages([await starting({ kind: 'critical', args: ['sleep'] })], async (daemon) => {
    await running(daemon, 'app:1.0.0');
    assert.equal(await daemon.stop(), 0, daemon.log());
  });
});

test('debug commands run beside a container from its start to its end, and none outlives a killed reconciler', async () => {
  const before = openDescriptors();
  const app = await probePackage({ name: 'app', args: ['signals'] });
  await using daemon = await startDaemon({
    packages: [app],
    document: (directory) => `apiVersion: northstate/v1
repositories:
  packages: { type: fs, dir: ${directory} }
containers:
  app: { version: 1.0.0, state: running }
...
`,
    configuration: 'debug: { commands: [ "echo <CONTAINER> has process <PID>", "sleep 86400" ] }\n',
  });
  const { pid } = await running(daemon, 'app');
  await untilLogged(daemon, `"line":"app:1.0.0 has process ${pid}"`);
  await untilLogged(daemon, 'debug command has ended');
  const commands = () => childrenOf(daemon.reconciler() ?? 0);
  const [sleep = 0, ...others] = commands();
  assert.deepEqual(others, []);
  const next = (await timesReady(daemon)) + 1;
  await killReconciler(daemon);
  await successor(daemon, next);
  assert.deepEqual([commands(), childrenOf(daemon.pid).includes(sleep)], [[], false]);
  assert.equal((await daemon.run('restart', 'app')).code, 0);
  await daemon.until('two starts', () => commands().length === 1);
  assert.equal((await daemon.run('stop', 'app')).code, 0);
  await untilLogged(daemon, '"signal":"SIGTERM"');
  assert.equal(await daemon.stop(), 0, daemon.log());
  assert.deepEqual(await leftovers(daemon.mark, before), []);
});
