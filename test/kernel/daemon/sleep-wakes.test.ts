// Each thing that may happen while the reconciler is not there wakes it once, and is named as what did.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole } from '../../../src/client/console-client.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';
import { enterMountNamespace } from '../../support/namespace.ts';
import { keyPair, probePackage } from '../../support/packages.ts';
import { asleep, awake, eventually, statusOf, withSleeper, wokenBy } from '../../support/sleeper.ts';
import type { Daemon } from '../../support/test-daemon.ts';

// What others mount on this host would wake the reconciler, too.
enterMountNamespace();

const never = 'state: running, restart: { policy: never }';

/** A descriptor of the launcher that is the mount namespace of the reconciler, as nsenter(1) takes it. */
function mountNamespace(launcher: number): string {
  const own = readlinkSync('/proc/self/ns/mnt');
  const found = readdirSync(`/proc/${launcher}/fd`).find((fd) => {
    const target = readlinkSync(`/proc/${launcher}/fd/${fd}`);
    return target.startsWith('mnt:') && target !== own;
  });
  assert.ok(found !== undefined);
  return `/proc/${launcher}/fd/${found}`;
}

const leafOf = (pid: number): string =>
  `${detectHierarchies().unified ?? ''}${/^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? ''}`;

test('whatever happens wakes it once, and the status and the report say what did', async () => {
  const hello = '{"connect":{"version":"0.9.2","subscribe_notifications":false}}';
  const packages = await Promise.all([
    probePackage({ name: 'idle', args: ['sleep'] }),
    probePackage({
      name: 'talker',
      args: [
        'print',
        '3',
        hello,
        'hear',
        '3',
        '1',
        'signals',
        'print',
        '3',
        '{"request":"ident"}',
        'hear',
        '3',
        '1',
        'sleep',
      ],
      fields: 'console: { permissions: full }\n',
    }),
    probePackage({
      name: 'eater',
      args: ['signals', 'child-eats', '64', 'sleep'],
      fields: 'cgroups: { memory: { oom_monitor: true, memory_hard_limit: 8000000, memory_swap_limit: 8000000 } }\n',
    }),
    probePackage({ name: 'still', args: ['sleep'] }),
    probePackage({ name: 'paused', args: ['sleep'] }),
  ]);
  const entries = [
    'idle: { state: mounted }',
    ...['talker', 'eater'].map((name) => `${name}: { ${never} }`),
    'paused: { state: running, paused: true }',
    'still: { state: running, restart: { backoff: 5s, maxBackoff: 5s } }',
  ];
  const body = async (daemon: Daemon): Promise<void> => {
    const client = await connectConsole(daemon.console, { subscribe: true });
    const heard: unknown[] = [];
    const listening = (async () => {
      for await (const notification of client.notifications()) heard.push(notification);
    })();
    await eventually('all runs', daemon, async () => (await statusOf(daemon)).converged);
    const { containers, sleep: before } = await statusOf(daemon);
    const pidOf = (name: string): number => {
      const { pid = null } = containers[name] ?? {};
      assert.ok(pid !== null, name);
      return pid;
    };
    const target = join(daemon.runDir, 'mnt', 'idle:1.0.0');

    const inRepository = join(daemon.repository, 'half.npk');
    await wokenBy(daemon, () => writeFileSync(inRepository, 'no package'));
    await wokenBy(daemon, () => rmSync(inRepository));
    // The directory above the document, and above everything else that there is of it.
    await wokenBy(daemon, () => {
      renameSync(daemon.directory, `${daemon.directory}-away`);
      renameSync(`${daemon.directory}-away`, daemon.directory);
    });
    await wokenBy(daemon, () => client.call('ident', null));
    await wokenBy(daemon, () => process.kill(pidOf('talker'), 'SIGTERM'));
    await wokenBy(daemon, () => process.kill(pidOf('eater'), 'SIGTERM'));
    const freezer = `${leafOf(pidOf('paused'))}/cgroup.freeze`;
    await wokenBy(daemon, () => writeFileSync(freezer, '0'));
    assert.equal(readFileSync(freezer, 'utf8'), '1\n', 'somebody has thawed it, and it was not frozen again');
    await wokenBy(daemon, () =>
      execFileSync('nsenter', [`--mount=${mountNamespace(daemon.pid)}`, 'umount', '--lazy', mountOf(daemon, target)]),
    );
    await wokenBy(daemon, () => process.kill(daemon.pid, 'SIGHUP'));
    await wokenBy(daemon, () => process.kill(pidOf('still'), 'SIGKILL'));
    // The deadline of its restart, and nothing in between.
    await awake(daemon);
    await asleep(daemon);

    const { sleep, containers: after } = await statusOf(daemon);
    const expected = { file: 3, console: 2, group: 2, mount: 1, signal: 1, exit: 1, deadline: 1, connection: 1 };
    const more = (reason: string): number => (sleep.reasons[reason] ?? 0) - (before.reasons[reason] ?? 0);
    const lacking = Object.entries(expected).filter(([reason, count]) => more(reason) < count);
    // What others mount on this host wakes it as well, and may come before what was to.
    assert.ok(lacking.length <= more('mount') - 1, JSON.stringify([sleep.reasons, before.reasons]));
    const others = Object.keys(sleep.reasons).filter((reason) => !(reason in expected));
    assert.deepEqual(others, [], daemon.log());
    assert.deepEqual([after['idle']?.mounted, after['still']?.restarts], [true, 1]);
    // Killed for want of memory while nobody was there: told once.
    await eventually('all is told', daemon, () => heard.some((each) => JSON.stringify(each).includes('exit')));
    assert.equal(heard.filter((each) => JSON.stringify(each).includes('c_group')).length, 1);
    client.close();
    await listening;

    const file = join(daemon.directory, 'report.zip');
    assert.equal((await daemon.run('report', file)).code, 0);
    const status = JSON.parse(execFileSync('unzip', ['-p', file, 'status.json'], { encoding: 'utf8' })) as typeof after;
    assert.ok('sleep' in status);
    rmSync(file);
  };
  await withSleeper(packages, entries, body, '200ms', { level: 'info' });
});

test('what the kernel tells of devices wakes it where dm-verity is in the document', async () => {
  const key = await keyPair('right');
  const uevent = '/sys/devices/virtual/mem/null/uevent';
  await withSleeper([], [], async (daemon) => {
    const keyed = `  checked: { type: fs, dir: ${daemon.repository}, key: ${key.public}, integrity: dm-verity }\n`;
    const document = `apiVersion: northstate/v1\nrepositories:\n${keyed}containers: {}\n...\n`;
    await wokenBy(daemon, () => daemon.write(document));
    // What others mount on this host may come first.
    let told = 0;
    for (let tries = 0; told === 0 && tries < 5; tries += 1) {
      await wokenBy(daemon, () => writeFileSync(uevent, 'change'));
      told = (await statusOf(daemon)).sleep.reasons['device'] ?? 0;
    }
    assert.ok(told > 0, daemon.log());
  });
});

function logOf(daemon: Daemon): { readonly msg: string; readonly time: string }[] {
  const lines = readFileSync(join(daemon.directory, 'log'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as { msg: string; time: string });
}

/** Where an image is mounted, as the namespace's own table has it. */
function mountOf(daemon: Daemon, fallback: string): string {
  const table = execFileSync('nsenter', [`--mount=${mountNamespace(daemon.pid)}`, 'cat', '/proc/self/mountinfo'], {
    encoding: 'utf8',
  });
  return (
    table
      .split('\n')
      .flatMap((line) => line.split(' ')[4] ?? [])
      .find((path) => path.endsWith('idle:1.0.0')) ?? fallback
  );
}

test('connections and saves wake it some twenty times a minute at most; then they find it awake', async () => {
  await withSleeper(
    [],
    [],
    async (daemon) => {
      const text = readFileSync(daemon.document, 'utf8');
      const end = performance.now() + 20_000;
      for (let acts = 0; performance.now() < end; acts += 1) {
        if (acts % 2 === 0) {
          const client = await connectConsole(daemon.console);
          await client.call('ident', null);
          client.close();
        } else {
          writeFileSync(daemon.document, `# ${acts}\n${text}`);
          await awake(daemon);
        }
        while (daemon.reconciler() !== null && performance.now() < end) await delay(10);
      }
      const starts = logOf(daemon)
        .filter(({ msg }) => msg === 'the reconciler has started')
        .map(({ time }) => Date.parse(time));
      const most = Math.max(...starts.map((from) => starts.filter((at) => at >= from && at < from + 60_000).length));
      // The rest that is asked for doubles with each beyond: 2, 4, 8 s.
      assert.ok(most <= 25, `${most} starts within a minute`);
      assert.ok(starts.length > 3);
    },
    '0s',
    { level: 'info' },
  );
});

test('a crash loop wakes it once for each exit, and once for each restart that is due', async () => {
  const loops = await probePackage({ name: 'loops', args: ['exit', '1'] });
  await withSleeper(
    [loops],
    ['loops: { state: running, restart: { backoff: 1500ms, maxBackoff: 1500ms } }'],
    async (daemon) => {
      await asleep(daemon);
      await delay(6000);
      const { sleep, containers } = await statusOf(daemon);
      const restarts = containers['loops']?.restarts ?? 0;
      const { exit = 0, deadline = 0, connection = 0, ...others } = sleep.reasons;
      assert.ok(restarts > 0);
      assert.ok(exit <= restarts + 1 && deadline <= restarts + 1, JSON.stringify([restarts, sleep.reasons]));
      assert.ok(deadline > 0 && connection <= 1);
      assert.deepEqual(others, {});
    },
    '0s',
    { level: 'info' },
  );
});
