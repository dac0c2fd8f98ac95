// What must not be only in the reconciler's memory, looked at where it is killed and has said nothing of its end.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectConsole } from '../../../src/client/console-client.ts';
import { probePackage } from '../../support/packages.ts';
import { running, withDaemon } from '../../support/scenario.ts';
import { eventually } from '../../support/sleeper.ts';
import { killReconciler, succeed } from '../../support/successor.ts';

const never = 'restart: { policy: never }';
/** ms until a step that has failed once is tried again, of which a quarter is left to chance; each further one waits twice as long. */
const first = 100;

test('processes that were killed for want of memory are told of once, whenever the reconciler dies', async () => {
  const fields = 'cgroups: { memory: { oom_monitor: true, memory_hard_limit: 8000000, memory_swap_limit: 8000000 } }\n';
  const args = ['signals', 'child-eats', '64', 'sleep'];
  const names = ['before', 'during', 'after'] as const;
  const packages = await Promise.all(names.map((name) => probePackage({ name, args, fields })));
  const entries = names.map((name) => `${name}: { state: running, ${never} }`);
  await withDaemon(packages, entries, async (daemon) => {
    const pids = new Map<string, number>();
    for (const name of names) pids.set(name, (await running(daemon, name)).pid ?? 0);
    const client = await connectConsole(daemon.console, { subscribe: true });
    const told: string[] = [];
    const listening = (async () => {
      for await (const notification of client.notifications())
        if (typeof notification === 'object' && 'c_group' in notification) told.push(notification.c_group[0]);
    })();
    const eat = (name: string): void => void process.kill(pids.get(name) ?? NaN, 'SIGTERM');
    const isTold = (name: string): boolean => told.includes(`${name}:1.0.0`);

    eat('before');
    await eventually('it is told', daemon, () => isTold('before'));
    await succeed(daemon);
    // The launcher waits a moment before it starts the next one.
    await killReconciler(daemon);
    eat('during');
    await eventually('it is told by the next one', daemon, () => isTold('during'));
    eat('after');
    await killReconciler(daemon);
    await eventually('it is told by either', daemon, () => isTold('after'));
    for (let kills = 0; kills < 2; kills += 1) await succeed(daemon);
    assert.deepEqual(await client.call('ident', null), 'extern:0.0.0');
    assert.deepEqual(told, ['before:1.0.0', 'during:1.0.0', 'after:1.0.0']);
    const { stdout } = await daemon.run('events', '-o', 'json');
    assert.equal(stdout.split('c_group').length - 1, 3, stdout);
    client.close();
    await listening;
  });
});

test('a step that fails is tried less and less often, however often the reconciler dies between', async () => {
  const fields = 'mounts: { /data: { type: persist } }\n';
  const broken = await probePackage({ name: 'broken', args: ['sleep'], fields });
  await withDaemon([broken], ['broken: { state: mounted }'], async (daemon) => {
    const data = join(daemon.directory, 'data');
    rmSync(data, { recursive: true });
    writeFileSync(data, 'no directory');
    const failures = (): { readonly count: number; readonly time: string }[] =>
      readFileSync(join(daemon.directory, 'log'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('"msg":"step failed"'))
        .map((line) => JSON.parse(line) as { count: number; time: string });
    const client = await connectConsole(daemon.console);
    const start = client.call('start', { container: 'broken:1.0.0', init: null, arguments: [], environment: {} });
    start.catch(() => undefined);
    await eventually('it has failed', daemon, () => failures().length >= 3);
    for (const deaths of [4, 5]) {
      await succeed(daemon);
      await eventually('it has failed again', daemon, () => failures().length >= deaths);
    }
    const seen = failures();
    assert.deepEqual(
      seen.map(({ count }) => count),
      seen.map((_, index) => index + 1),
      daemon.log(),
    );
    const times = seen.map(({ time }) => Date.parse(time));
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    for (const [index, gap] of gaps.entries()) assert.ok(gap >= 0.7 * first * 2 ** index, JSON.stringify(gaps));
    rmSync(data);
    mkdirSync(data);
    client.close();
  });
});
