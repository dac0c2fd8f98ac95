// What the status says of sandboxes that cannot be quite what the manifest asks for.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ContainerStatus } from '../../../state/status.ts';
import { probePackage } from '../../support/packages.ts';
import { lines, running, withDaemon } from '../../support/scenario.ts';
import { succeed, untilLogged } from '../../support/successor.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';

const condition = ({ conditions }: ContainerStatus, type: string) => conditions.find((each) => each.type === type);

test('the status says what a container runs without, and why another cannot run', async () => {
  const partial = await probePackage({
    name: 'partial',
    fields: 'suppl_groups: [daemon, no-such-group]\nmounts: { /host: { type: bind, host: /no/such/path } }',
  });
  const rlimits = 'rlimits: { core: { soft: 0, hard: 0 }, nofile: { soft: 64, hard: 1099511627776 } }';
  const beyond = await probePackage({ name: 'beyond', fields: rlimits });
  const entries = ['partial', 'beyond'].map((name) => `${name}: { version: 1.0.0, state: running }`);
  await withDaemon([partial, beyond], entries, async (daemon) => {
    const degraded = condition(await running(daemon, 'partial'), 'Degraded');
    assert.deepEqual(
      [degraded?.status, degraded?.reason, degraded?.message],
      [
        'True',
        'MissingOnHost',
        '/no/such/path, which is to be mounted on /host, is not on the host; the host has no group no-such-group',
      ],
    );
    const failed = await daemon.untilContainer('beyond', 'has failed', ({ phase }) => phase === 'Failed');
    const ready = condition(failed, 'Ready');
    assert.equal(ready?.reason, 'StartFailed');
    assert.match(
      ready.message,
      /^beyond:1\.0\.0 cannot have the resource limit nofile 1099511627776: .+ \(rlimit: EPERM\)$/,
    );
    assert.equal(failed.restarts, 0);
  });
});

test('what no request to the launcher can hold is not tried again and again, and the status says the limit', async () => {
  const mounts = Array.from({ length: 150 }, (_, each) => `/p${each}: { type: proc }`).join(', ');
  const much = await probePackage({ name: 'much', fields: `mounts: { ${mounts} }` });
  await withDaemon([much], ['much: { version: 1.0.0, state: running }'], async (daemon) => {
    const failed = await daemon.untilContainer('much', 'has failed', ({ phase }) => phase === 'Failed');
    assert.match(condition(failed, 'Ready')?.message ?? '', /operations is over the limit of 1024/);
    assert.equal((await daemon.run('get')).code, 0);
  });
});

test('an application with a real-time policy runs on the budget that its manifest asks for, and on no other', async () => {
  const sched = 'sched: { policy: !fifo { priority: 7 } }';
  const names = ['budgeted', 'unbudgeted'];
  const cgroups = ['{ realtime_runtime: 20000, realtime_period: 500000 }', '{ shares: 100 }'];
  const packages = names.map((name, index) =>
    probePackage({ name, fields: `${sched}\ncgroups: { cpu: ${cgroups[index] ?? ''} }` }),
  );
  const entries = names.map((name) => `${name}: { version: 1.0.0, state: running }`);
  const cpu = detectHierarchies().legacy.get('cpu');
  const budgets = cpu !== undefined && existsSync(join(cpu, 'cpu.rt_runtime_us'));
  await withDaemon(await Promise.all(packages), entries, async (daemon) => {
    const policyOf = (init: number | null) => {
      const application = readFileSync(`/proc/${init ?? 0}/task/${init ?? 0}/children`, 'utf8').trim();
      return readFileSync(`/proc/${application}/stat`, 'utf8').split(') ')[1]?.split(' ')[38];
    };
    const first = await running(daemon, 'budgeted');
    assert.equal(policyOf(first.pid), '1');
    const { code, stderr } = await daemon.run('restart', 'budgeted');
    assert.equal(code, 0, stderr);
    const second = await daemon.untilContainer(
      'budgeted',
      'runs anew',
      (now) => now.phase === 'Running' && now.pid !== first.pid,
    );
    assert.equal(policyOf(second.pid), '1');
    if (budgets) {
      const { conditions } = await daemon.untilContainer('unbudgeted', 'has failed', ({ phase }) => phase === 'Failed');
      const message = conditions.find(({ type }) => type === 'Ready')?.message ?? '';
      assert.match(
        message,
        /its control group has no real-time budget \(cgroups: cpu: realtime_runtime\) \(schedule: EPERM\)$/,
      );
    } else {
      assert.equal(policyOf((await running(daemon, 'unbudgeted')).pid), '1');
    }
  });
});

test('output is discarded, logged line by line, or the runtime’s own, as the manifest has it', async () => {
  const io = (stdout: string, stderr: string) => `io: { stdout: ${stdout}, stderr: ${stderr} }`;
  const packages = await Promise.all([
    probePackage({
      name: 'discards',
      args: ['print', '1', 'nobody reads this', 'sleep'],
      fields: io('discard', 'discard'),
    }),
    probePackage({
      name: 'inherits',
      args: ['print', '1', 'to nobody', 'print', '2', 'to all', 'sleep'],
      fields: io('discard', 'inherit'),
    }),
    // A program is as binary as it gets.
    probePackage({
      name: 'pipes',
      files: { long: 'x'.repeat(200_000) },
      args: ['cat', '/long', 'print', '2', 'short', 'cat', '/probe', 'print', '1', 'end', 'sleep'],
    }),
  ]);
  const names = ['discards', 'inherits', 'pipes'];
  const entries = names.map((name) => `${name}: { version: 1.0.0, state: running }`);
  await withDaemon(packages, entries, async (daemon) => {
    await Promise.all(names.map((name) => running(daemon, name)));
    await untilLogged(daemon, '"line":"short"');
    await untilLogged(daemon, '\nto all\n');
    assert.deepEqual(await lines(daemon, 'discards'), ['']);
    assert.deepEqual(await lines(daemon, 'inherits'), ['']);
    const kept = await lines(daemon, 'pipes');
    assert.ok(kept.at(-1)?.endsWith('end'));
    const log = readFileSync(join(daemon.directory, 'log'), 'utf8').split('\n');
    const logged = log
      .filter((line) => line.includes('"msg":"container output"'))
      .map((line) => JSON.parse(line) as Line);
    const [piped] = logged.filter(({ container, line }) => container === 'pipes' && line === 'short');
    assert.deepEqual([piped?.level, piped?.target, piped?.stream], [20, 'pipes:1.0.0', 'stderr']);
    for (const { line } of logged) assert.ok(Buffer.byteLength(line) < 1100);
    assert.ok(!log.some((line) => /nobody/.test(line)));
  });
});

interface Line {
  readonly container: string;
  readonly target: string;
  readonly stream: string;
  readonly level: number;
  readonly line: string;
}

test('an end by the filter is told with the name of the call, also by a successor, and ends by name', async () => {
  const unshare = process.arch === 'arm64' ? '97' : '272';
  const filtered = (name: string, ...args: string[]) =>
    probePackage({ name, args, fields: 'seccomp: { profile: default }' });
  const packages = [
    filtered('refused', 'syscall', unshare),
    filtered('other', 'syscall', unshare),
    filtered('killed', 'raise', '11'),
  ];
  const entries = ['refused', 'other', 'killed'].map(
    (name) => `${name}: { version: 1.0.0, state: running, restart: { policy: never } }`,
  );
  await withDaemon(await Promise.all(packages), entries, async (daemon) => {
    const exit = { signal: 31, syscall: 'unshare' };
    const named = ({ lastExit }: ContainerStatus) => lastExit !== null && 'syscall' in lastExit;
    for (const name of ['refused', 'other'])
      assert.deepEqual((await daemon.untilContainer(name, 'has a call', named)).lastExit, exit);
    const killed = await daemon.untilContainer('killed', 'has ended', ({ phase }) => phase === 'Exited');
    assert.match(condition(killed, 'Ready')?.message ?? '', /^ended with SIGSEGV; /);
    const told = /SIGSYS \(its filter does not allow unshare\)/;
    for (const words of [['get'], ['describe', 'refused'], ['explain', 'refused']])
      assert.match((await daemon.run(...words)).stdout, told, words.join(' '));
    assert.match((await daemon.run('events')).stdout, /ended refused:1\.0\.0 SIGSYS/);
    const after = await succeed(daemon);
    assert.deepEqual(after.containers['refused']?.lastExit, exit);
  });
});
