// At rest the reconciler is not there. Whatever happens wakes it, and what it does then is what it would have done awake.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole } from '../../../src/client/console-client.ts';
import { enterMountNamespace } from '../../support/namespace.ts';
import { probePackage } from '../../support/packages.ts';
import { logged } from '../../support/scenario.ts';
import { killReconciler } from '../../support/successor.ts';
import { childrenOf, rollupOf } from '../../bench/process-memory.ts';
import { asleep, awake, eventually, statusOf, withSleeper } from '../../support/sleeper.ts';
import type { Daemon } from '../../support/test-daemon.ts';

// What others mount on this host would wake the reconciler, too.
enterMountNamespace();

/** NORTHSTATE_SLEEPS: in how many rounds clients are heard; the bound on wakes makes a hundred of them take minutes. */
const rounds = Number(process.env['NORTHSTATE_SLEEPS'] ?? 6);

/** In the others the reconciler is killed: at first as often, then now and then, since the launcher waits after deaths. */
const sleepsIn = (round: number): boolean => (round < 6 ? round % 2 === 0 : round % 10 !== 9);

/** Changes the document as an editor does: in place. */
function edit(daemon: Daemon, from: string, to: string): void {
  const text = readFileSync(daemon.document, 'utf8');
  assert.ok(text.includes(from), text);
  writeFileSync(daemon.document, text.replace(from, to));
}

const initOf = async (daemon: Daemon, name: string): Promise<number> => {
  const { pid } = (await statusOf(daemon)).containers[name] ?? {};
  assert.ok(typeof pid === 'number');
  return pid;
};

test('at rest the launcher and the containers alone are there; a question wakes it, and what it says is how it slept', async () => {
  const idle = await probePackage({ name: 'idle', args: ['sleep'] });
  await withSleeper([idle], ['idle: { state: running }'], async (daemon) => {
    await asleep(daemon);
    await delay(500);
    assert.equal(daemon.reconciler(), null, 'nothing has happened, and it is there');
    // Its data and most of its stack are the launcher's still: a page with errno, and those of the stack that it waits on.
    const [init] = childrenOf(daemon.pid);
    const own = rollupOf(init ?? 0)?.Private ?? Infinity;
    assert.ok(own <= 20, `an init that waits has ${own} KiB of its own`);
    const { sleep, converged, containers } = await statusOf(daemon);
    assert.deepEqual([converged, containers['idle']?.phase], [true, 'Running']);
    assert.deepEqual(
      [sleep.after, sleep.today, sleep.reasons, sleep.last?.reason],
      [200, 1, { connection: 1 }, 'connection'],
    );
    const { code, stdout } = await daemon.run('get');
    assert.equal(code, 0);
    assert.match(stdout, /slept .* until .* \(connection\), woken \d+ times today/);
  });
});

test('an edit of the document, of whatever kind, is acted on', async () => {
  const idle = await probePackage({ name: 'idle', args: ['sleep'] });
  await withSleeper([idle], ['idle: { state: running }'], async (daemon) => {
    await asleep(daemon);
    const pid = await initOf(daemon, 'idle');
    await asleep(daemon);
    edit(daemon, 'state: running', 'state: mounted');
    await awake(daemon);
    await eventually('idle has ended', daemon, () => !isThere(pid));
    await asleep(daemon);
    await daemon.write(readFileSync(daemon.document, 'utf8').replace('state: mounted', 'state: running'));
    await awake(daemon);
    await asleep(daemon);
    assert.equal((await statusOf(daemon)).containers['idle']?.phase, 'Running');
    assert.equal((await statusOf(daemon)).sleep.reasons['file'], 2);
  });
});

test('a package that comes is there, an image that is unmounted is mounted again', async () => {
  const idle = await probePackage({ name: 'idle', args: ['sleep'] });
  const late = await probePackage({ name: 'late', args: ['sleep'] });
  await withSleeper([idle], ['idle: { state: mounted }', 'late: { state: running }'], async (daemon) => {
    await asleep(daemon);
    copyFileSync(late, join(daemon.repository, basename(late)));
    await awake(daemon);
    await asleep(daemon);
    assert.equal((await statusOf(daemon)).containers['late']?.phase, 'Running');
    await asleep(daemon);
    // The namespace that images are mounted in outlives the reconciler: the launcher holds it.
    const mounts = execFileSync('findmnt', ['--task', String(await namespaceHolder(daemon)), '-n', '-o', 'TARGET'], {
      encoding: 'utf8',
    });
    const target = mounts
      .split('\n')
      .map((line) => line.replace(/^[^/]*/, ''))
      .find((line) => line.endsWith('idle:1.0.0'));
    assert.ok(target !== undefined, mounts);
    execFileSync('nsenter', [`--mount=/proc/${daemon.reconciler() ?? 0}/ns/mnt`, 'umount', '--lazy', target]);
    await asleep(daemon);
    assert.equal((await statusOf(daemon)).containers['idle']?.mounted, true);
  });
});

test('an exit wakes it once, and the deadline of the restart', async () => {
  const idle = await probePackage({ name: 'idle', args: ['sleep'] });
  const entry = 'idle: { state: running, restart: { backoff: 10s, maxBackoff: 10s } }';
  await withSleeper([idle], [entry], async (daemon) => {
    await asleep(daemon);
    const pid = await initOf(daemon, 'idle');
    await asleep(daemon);
    process.kill(pid, 'SIGKILL');
    await awake(daemon);
    await asleep(daemon);
    await awake(daemon);
    await asleep(daemon);
    const { sleep, containers } = await statusOf(daemon);
    assert.deepEqual([sleep.reasons['exit'], sleep.reasons['deadline']], [1, 1]);
    assert.deepEqual([containers['idle']?.phase, containers['idle']?.restarts], ['Running', 1]);
    assert.notEqual(containers['idle']?.pid, pid);
  });
});

test('SIGTERM to a sleeper stops everything in order', async () => {
  const idle = await probePackage({ name: 'idle', args: ['sleep'] });
  await withSleeper([idle], ['idle: { state: running }'], async (daemon) => {
    await asleep(daemon);
  });
});

test('a client hears every event once and in order, over sleeps and kills, and its requests are answered', async () => {
  const once = await probePackage({ name: 'once', args: ['exit', '7'] });
  await withSleeper([once], ['once: { state: mounted, restart: { policy: never } }'], async (daemon) => {
    const client = await connectConsole(daemon.console, { subscribe: true });
    const heard: string[] = [];
    const listening = (async () => {
      for await (const notification of client.notifications()) heard.push(JSON.stringify(notification));
    })();
    // One that speaks the protocol by hand.
    const socket = connect(daemon.console.replace('unix://', ''));
    const lines: string[] = [];
    createInterface({ input: socket }).on('line', (line) => lines.push(line));
    socket.write('{"connect":{"version":"0.9.2","subscribe_notifications":true}}\n');
    await eventually('it is connected', daemon, () => lines.length === 1);
    for (let round = 0; round < rounds; round += 1) {
      await client.call('start', { container: 'once:1.0.0', init: null, arguments: [], environment: {} });
      if (sleepsIn(round)) await asleep(daemon);
      else await killReconciler(daemon);
      assert.deepEqual(await client.call('list', null), ['once:1.0.0']);
    }
    await eventually('all is told', daemon, () => heard.length >= 2 * rounds && lines.length > 2 * rounds);
    client.close();
    socket.destroy();
    await listening;
    const pair = ['{"started":"once:1.0.0"}', '{"exit":["once:1.0.0",{"exit":{"code":7}}]}'];
    const expected = Array.from({ length: rounds }, () => pair).flat();
    assert.deepEqual(heard, expected);
    const byHand = expected.map((each) => `{"notification":${each}}`);
    assert.deepEqual(lines, ['{"connect_ack":null}', ...byHand]);
  });
});

test('changes and events go on by number, over sleeps and kills', async () => {
  const once = await probePackage({ name: 'once', args: ['exit', '0'] });
  await withSleeper([once], ['once: { state: mounted, restart: { policy: never } }'], async (daemon) => {
    const ask = async <T>(act: (client: Awaited<ReturnType<typeof connectConsole>>) => Promise<T>): Promise<T> => {
      const client = await connectConsole(daemon.console);
      return await act(client).finally(() => client.close());
    };
    const events = { since: null, boot: null, follow: false };
    const first = await ask((client) => client.call('events', events));
    const watched = await ask((client) => client.call('watch', null));
    for (let round = 0; round < rounds; round += 1) {
      assert.equal((await daemon.run('start', 'once')).code, 0);
      if (sleepsIn(round)) await asleep(daemon);
      else await killReconciler(daemon);
    }
    const later = await ask((client) => client.call('events', { ...events, since: first.sequence, boot: first.boot }));
    assert.equal(later.gap, null);
    assert.deepEqual(
      later.events.map(({ sequence }) => sequence - first.sequence),
      Array.from({ length: 2 * rounds }, (_, index) => index + 1),
    );
    const resumed = await ask((client) => client.call('watch', { since: watched.sequence, boot: watched.boot }));
    assert.deepEqual([resumed.gap, resumed.status], [null, null]);
    const numbers = resumed.missed.map(({ sequence }) => sequence);
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => watched.sequence + 1 + index),
    );
    assert.ok(numbers.length > 0);
  });
});

test('what containers write is in its log once, over sleeps and kills', async () => {
  const app = await probePackage({ name: 'app', args: ['print', '1', 'up', 'signals'] });
  await withSleeper([app], ['app: { state: running }'], async (daemon) => {
    const times = (line: string): number => logged(daemon).filter((each) => each === `app: ${line}`).length;
    const said = async (count: number): Promise<void> => {
      assert.equal((await daemon.run('kill', 'app', 'USR1')).code, 0);
      await eventually(`it is said ${count} times`, daemon, () => times('signal 10') === count);
    };
    for (const count of [1, 2, 3]) {
      await asleep(daemon);
      await said(count);
    }
    await killReconciler(daemon);
    await said(4);
    await asleep(daemon);
    assert.deepEqual([times('up'), times('signal 10')], [1, 4]);
  });
});

test('whoever follows keeps it awake, and so does the configuration', async () => {
  const idle = await probePackage({ name: 'idle', args: ['sleep'] });
  await withSleeper([idle], ['idle: { state: running }'], async (daemon) => {
    const client = await connectConsole(daemon.console);
    await client.call('events', { since: null, boot: null, follow: true });
    const pid = daemon.reconciler();
    await delay(1500);
    assert.equal(daemon.reconciler(), pid);
    client.close();
    await asleep(daemon);
  });
  await withSleeper(
    [idle],
    ['idle: { state: running }'],
    async (daemon) => {
      const pid = daemon.reconciler();
      await delay(1500);
      assert.equal(daemon.reconciler(), pid);
    },
    'never',
  );
});

function isThere(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/exe`);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** A process in the namespace that images are mounted in: the reconciler, woken for it. */
async function namespaceHolder(daemon: Daemon): Promise<number> {
  await statusOf(daemon);
  const pid = daemon.reconciler();
  assert.ok(pid !== null);
  return pid;
}
