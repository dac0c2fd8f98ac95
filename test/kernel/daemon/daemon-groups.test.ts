// What the control groups of running containers do through the whole runtime: pausing, and being out of memory.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { versionOf } from '../../../controllers/cgroups/cgroup-hierarchies.ts';
import { connectConsole, type Notification } from '../../../src/client/console-client.ts';
import type { ContainerStatus } from '../../../state/status.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { patience } from '../../support/patience.ts';
import { probePackage } from '../../support/packages.ts';
import { lines, running, withDaemon } from '../../support/scenario.ts';
import { succeed, untilLogged } from '../../support/successor.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';

const { unified } = detectHierarchies();
const polite = await probePackage({ name: 'app', args: ['signals'] });
const entry = 'app: { version: 1.0.0, state: running, restart: { policy: never } }';

const paused = (daemon: Daemon): Promise<ContainerStatus> =>
  daemon.untilContainer('app', 'is paused', (container) => container.paused && container.phase === 'Running');
const free = (daemon: Daemon): Promise<ContainerStatus> =>
  daemon.untilContainer('app', 'goes on', (container) => !container.paused && container.phase === 'Running');

async function says(daemon: Daemon, words: readonly string[], expected: string): Promise<void> {
  const { code, stdout, stderr } = await daemon.run(...words);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: expected, stderr: '' });
}

/** The v2 leaf that a process is in. */
function leafOf(pid: number | null): string {
  const line = readFileSync(`/proc/${pid ?? 0}/cgroup`, 'utf8').match(/^0::(.*)$/m)?.[1] ?? '';
  return `${unified ?? ''}${line}`;
}

const isFrozen = (leaf: string): boolean => /^frozen 1$/m.test(readFileSync(`${leaf}/cgroup.events`, 'utf8'));

test('a paused container stands still, over the death of the reconciler and against whoever thaws it, until it is resumed', async () => {
  await withDaemon([polite], [entry], async (daemon) => {
    const { pid } = await running(daemon, 'app');
    const leaf = leafOf(pid);
    await says(daemon, ['pause', 'app'], 'app paused\n');
    assert.ok(isFrozen(leaf));
    assert.match(await readFile(daemon.document, 'utf8'), /paused: true/);
    const { conditions } = await paused(daemon);
    assert.deepEqual(
      conditions.filter(({ type }) => type === 'Ready').map(({ status, reason }) => [status, reason]),
      [['False', 'Paused']],
    );
    assert.match((await daemon.run('get')).stdout, /^app +1\.0\.0 +running +Paused/m);
    assert.equal((await daemon.run('kill', 'app', 'USR1')).code, 0);

    const after = await succeed(daemon);
    assert.equal(after.containers['app']?.pid, pid);
    assert.equal(after.containers['app'].paused, true);
    writeFileSync(`${leaf}/cgroup.freeze`, '0');
    // Repaired before the status could say it.
    await untilLogged(daemon, '"op":"freeze"', 2);
    assert.ok(isFrozen(leaf));

    await says(daemon, ['resume', 'app'], 'app resumed\n');
    await free(daemon);
    assert.doesNotMatch(await readFile(daemon.document, 'utf8'), /paused/);
    await says(daemon, ['stop', 'app'], 'app stopped\n');
    assert.deepEqual(await lines(daemon, 'app'), ['ready', 'signal 10', 'signal 15']);
  });
});

test('a paused container can be stopped and killed, and starts paused again', async () => {
  await withDaemon([polite], [entry], async (daemon) => {
    await running(daemon, 'app');
    await says(daemon, ['pause', 'app'], 'app paused\n');
    await says(daemon, ['stop', 'app'], 'app stopped\n');
    await says(daemon, ['start', 'app'], 'app:1.0.0 started\n');
    await paused(daemon);
    await says(daemon, ['kill', 'app', 'KILL'], 'app:1.0.0 got SIGKILL\n');
    const { lastExit } = await daemon.untilContainer('app', 'has ended', ({ pid }) => pid === null);
    assert.deepEqual(lastExit, { signal: 9 });
    const { code, stderr } = await daemon.run('pause', 'app');
    assert.equal(code, 1);
    assert.match(stderr, /app: is not to run/);
    await says(daemon, ['start', 'app'], 'app:1.0.0 started\n');
    await paused(daemon);
  });
});

/** The notifications of a console from now on, until `last` is among them. */
async function untilTold(daemon: Daemon, last: (notification: Notification) => boolean): Promise<Told[]> {
  const client = await connectConsole(daemon.console, { subscribe: true });
  const timer = setTimeout(() => client.close(), patience);
  const told: Told[] = [];
  for await (const notification of client.notifications()) {
    told.push({ at: process.hrtime.bigint(), notification });
    if (last(notification)) break;
  }
  clearTimeout(timer);
  client.close();
  return told;
}

interface Told {
  readonly at: bigint;
  readonly notification: Notification;
}

const tellsOfMemory = ({ notification }: Told): boolean =>
  typeof notification === 'object' && 'c_group' in notification;

test('a console is told within 100 ms when the kernel kills for want of memory, once, and only with oom_monitor', async () => {
  const eater = (name: string, monitor: boolean, args: readonly string[]) =>
    probePackage({
      name,
      args,
      fields: `cgroups: { memory: { oom_monitor: ${monitor}, memory_hard_limit: 8000000, memory_swap_limit: 8000000 } }\n`,
    });
  const packages = [
    await eater('lives', true, ['signals', 'child-eats', '64', 'now', 'exit', '3']),
    await eater('dies', true, ['signals', 'eat', '64']),
    await eater('unwatched', false, ['signals', 'eat', '64']),
  ];
  const entries = ['lives', 'dies', 'unwatched'].map(
    (name) => `${name}: { version: 1.0.0, state: running, restart: { policy: never } }`,
  );
  await withDaemon(packages, entries, async (daemon) => {
    for (const name of ['lives', 'dies', 'unwatched']) await running(daemon, name);
    const ends = new Set<string>();
    const listening = untilTold(daemon, (each) => {
      if (typeof each === 'object' && 'exit' in each) ends.add(each.exit[0]);
      return ends.size === 3;
    });
    const client = await connectConsole(daemon.console);
    for (const name of ['lives', 'dies', 'unwatched']) {
      await client.call('kill', { container: `${name}:1.0.0`, signal: 15, lifetime: undefined });
    }
    client.close();
    const told = await listening;
    const ofMemory = told.flatMap(({ notification }) =>
      typeof notification === 'object' && 'c_group' in notification ? [notification] : [],
    );
    assert.deepEqual(ofMemory.map(({ c_group: [container] }) => container).sort(), ['dies:1.0.0', 'lives:1.0.0']);
    for (const { c_group: group } of ofMemory) {
      assert.deepEqual(Object.keys(group[1].memory), ['low', 'high', 'max', 'oom', 'oom_kill']);
      assert.equal(group[1].memory.oom_kill, 1);
    }
    // The container that lives has written when its child was gone, which is after it was killed.
    const killed = BigInt((await lines(daemon, 'lives')).at(-1) ?? 0);
    const heard =
      told.find((each) => tellsOfMemory(each) && JSON.stringify(each.notification).includes('lives'))?.at ?? 0n;
    assert.ok(heard - killed < 100_000_000n, `${(heard - killed) / 1_000_000n} ms`);
  });
});

test('a second runtime with the same control groups is refused and told who has them, also by a later reconciler', async () => {
  await withDaemon([polite], [entry], async (daemon) => {
    const { pid } = await running(daemon, 'app');
    for (const round of ['the first', 'a later']) {
      if (round === 'a later') await succeed(daemon);
      const elsewhere = await mkdtemp(join(tmpdir(), 'northstate-second-'));
      try {
        const directory = join(elsewhere, daemon.mark);
        await using second = await startDaemon({ packages: [], directory, mayEnd: true });
        assert.equal(await second.exited, 1, round);
        assert.match(
          second.log(),
          new RegExp(`in use by process ${daemon.pid} \\(stateDir ${daemon.directory}/state\\)`),
        );
        second.release();
      } finally {
        await rm(elsewhere, { recursive: true, force: true });
      }
      assert.equal((await running(daemon, 'app')).pid, pid);
    }
  });
});

test('a container that names no limit of processes has that of the configuration', async () => {
  const hierarchies = detectHierarchies();
  assert.ok(versionOf(hierarchies, 'pids') !== null, 'this host has no pids controller');
  const named = await probePackage({ name: 'named', fields: 'cgroups: { pids: { max: 70 } }' });
  const entries = [entry, 'named: { version: 1.0.0, state: running }'];
  const document = (directory: string): string => documentOf(directory, ...entries);
  await using daemon = await startDaemon({ packages: [polite, named], document, configuration: 'pids: 50\n' });
  for (const [name, most] of [
    ['app', '50'],
    ['named', '70'],
  ] as const) {
    const { pid } = await running(daemon, name);
    const cgroups = readFileSync(`/proc/${pid ?? 0}/cgroup`, 'utf8');
    const legacy = hierarchies.legacy.get('pids');
    const [, path = ''] = (legacy === undefined ? /^0::(.*)$/m : /^\d+:pids:(.*)$/m).exec(cgroups) ?? [];
    const group = dirname(`${legacy ?? unified ?? ''}${path}`);
    assert.equal(readFileSync(`${group}/pids.max`, 'utf8').trim(), most, name);
  }
});
