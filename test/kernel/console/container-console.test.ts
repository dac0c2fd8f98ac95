// Consoles that containers are given: a descriptor that answers, and goes on answering whatever becomes of the reconciler.
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connectConsole } from '../../../src/client/console-client.ts';
import { fixtures, matches, readTranscript } from '../../compat/replay.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { endsClean, lines, running, withDaemon } from '../../support/scenario.ts';
import { killReconciler, succeed, untilLogged } from '../../support/successor.ts';

const hello = (subscribe: boolean) => `{"connect":{"version":"0.9.2","subscribe_notifications":${subscribe}}}`;
const say = (message: unknown) => [
  'print',
  '3',
  typeof message === 'string' ? message : JSON.stringify(message),
  'hear',
  '3',
  '1',
];

test('a container that counts over its console misses no answer and gets none twice, however often the reconciler dies', async () => {
  const turns = 1000;
  const args = [...say(hello(true)), 'count', '3', String(turns), 'print', '1', 'counted', 'sleep'];
  const counter = await probePackage({ name: 'counter', args, fields: 'console: { permissions: full }\n' });
  const other = await probePackage({ name: 'other', args: ['exit', '3'] });
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [counter, other],
    document: (directory) =>
      documentOf(
        directory,
        'counter: { state: running, restart: { policy: never } }',
        'other: { state: running, restart: { backoff: 100ms, maxBackoff: 100ms } }',
      ),
    configuration: 'containerConsoles: { limits: { requestsPerSecond: 1000000 } }\n',
  });
  const { pid } = await running(daemon, 'counter');
  for (let kills = 0; kills < 3; kills += 1) await succeed(daemon);
  await untilLogged(daemon, '"line":"counted"');
  assert.equal((await running(daemon, 'counter')).pid, pid);
  assert.deepEqual(await lines(daemon, 'counter'), ['{"connect_ack":null}', 'counted']);
  await endsClean(daemon, before);
});

test('what recorded containers said over their descriptors is answered as recorded', async () => {
  const { events } = await readTranscript('container-console');
  const scripts = Map.groupBy(events, ({ on }) => on.split(':')[0] ?? '');
  const packages = ['console-full', 'console-some', 'idle'].map((name) =>
    fileURLToPath(new URL(`npk/${name}-1.0.0.npk`, fixtures)),
  );
  const document = (directory: string) => documentOf(directory, '"idle": { state: installed }');
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages, document });
  let token = '';
  for (const [name, script] of scripts) {
    const said = script.flatMap(({ send }) =>
      send === undefined ? [] : [JSON.stringify(send).replace('<TOKEN>', token)],
    );
    const started = await daemon.run('start', name, '/app', 'relay', ...said);
    assert.equal(started.code, 0, started.stderr);
    const expected = script.flatMap(({ recv }) => (recv === undefined ? [] : [recv]));
    for (const [index, line] of (await spoken(daemon, name, expected.length)).entries()) {
      const message = JSON.parse(line) as { readonly response?: { readonly token?: string } };
      token = message.response?.token ?? token;
      assert.ok(matches(expected[index], message), `${name}: ${line}, expected ${JSON.stringify(expected[index])}`);
    }
  }
  await endsClean(daemon, before);
});

test('what a container says in its first instructions is answered when its run is seen', async () => {
  const connect = { connect: { version: '0.9.2', subscribe_notifications: false } };
  const hasty = (name: string, request: object, ...then: readonly string[]) =>
    probePackage({
      name,
      args: [...[connect, { request }].flatMap((message) => ['print', '3', JSON.stringify(message)]), ...then],
      fields: 'console: { permissions: full }\n',
    });
  const packages = [
    hasty('asks', { inspect: { container: 'asks:1.0.0' } }, 'hear', '3', '2'),
    hasty('ends', { kill: { container: 'ends:1.0.0', signal: 15 } }, 'sleep'),
  ];
  await withDaemon(await Promise.all(packages), [], async (daemon) => {
    for (let round = 1; round <= 12; round++) {
      for (const name of ['asks', 'ends']) assert.equal((await daemon.run('start', name)).code, 0);
      await daemon.untilContainer('asks:1.0.0', 'has ended', ({ phase }) => phase === 'Exited');
      const { response } = JSON.parse((await lines(daemon, 'asks')).at(1) ?? '') as {
        response: { inspect: { ok: { data: { process: object | null } } } };
      };
      assert.notEqual(response.inspect.ok.data.process, null, `round ${round}`);
      const { lastExit } = await daemon.untilContainer('ends:1.0.0', 'has ended', ({ phase }) => phase === 'Mounted');
      assert.deepEqual(lastExit, { signal: 15 });
    }
  });
});

test('a container hears what happens, and its console ends with it, also when it is told to over that console', async () => {
  const kill = { request: { kill: { container: 'lonely:1.0.0', signal: 15 } } };
  const lonely = await probePackage({
    name: 'lonely',
    args: [
      ...['wait', '300'], // its own start has been told by then
      ...say(hello(true)),
      'hear',
      '3',
      '2',
      ...say({ request: 'ident' }),
      ...say({ request: { inspect: { container: 'lonely:1.0.0' } } }),
      ...say(kill),
      'sleep',
    ],
    fields: 'console: { permissions: full }\n',
  });
  const brief = await probePackage({ name: 'brief', args: ['exit', '3'] });
  const entries = [
    'lonely: { state: running, restart: { policy: never } }',
    'brief: { state: mounted, restart: { policy: never } }',
  ];
  await withDaemon([lonely, brief], entries, async (daemon) => {
    await running(daemon, 'lonely');
    await untilLogged(daemon, 'connect_ack');
    assert.equal((await daemon.run('start', 'brief')).code, 0);
    await daemon.untilContainer('lonely', 'was killed by itself', ({ lastExit }) => lastExit !== null);
    const [ack, ...rest] = (await lines(daemon, 'lonely')).map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(ack, { connect_ack: null });
    assert.deepEqual(rest.slice(0, 3), [
      { notification: { started: 'brief:1.0.0' } },
      { notification: { exit: ['brief:1.0.0', { exit: { code: 3 } }] } },
      { response: { ident: 'lonely:1.0.0' } },
    ]);
    const { inspect } = rest[3]?.['response'] as { inspect: { ok: { data: { process: { pid: number } } } } };
    assert.ok(inspect.ok.data.process.pid > 0);
  });
});

test('what a container asked for when the reconciler died is done and answered by the next one, once', async () => {
  const ask = { request: { start: { container: 'late:1.0.0', arguments: [], environment: {} } } };
  const asker = await probePackage({
    name: 'asker',
    args: [...say(hello(false)), ...say(ask), ...say({ request: 'ident' }), 'sleep'],
    fields: 'console: { permissions: [ident, start] }\n',
  });
  const late = await probePackage({ name: 'late', args: ['print', '1', 'started', 'sleep'] });
  const needed = await probePackage({ name: 'needed' });
  const entries = [
    'asker: { state: running }',
    'late: { state: mounted, dependsOn: { needed: running } }',
    'needed: { state: mounted }',
  ];
  await withDaemon([asker, late, needed], entries, async (daemon) => {
    await daemon.untilContainer('late', 'is asked for', ({ desired }) => desired === 'running');
    await succeed(daemon);
    assert.equal((await daemon.run('start', 'needed')).code, 0);
    assert.deepEqual(await spoken(daemon, 'asker', 3), [
      '{"connect_ack":null}',
      '{"response":{"start":{"ok":{"container":"late:1.0.0"}}}}',
      '{"response":{"ident":"asker:1.0.0"}}',
    ]);
    assert.deepEqual(await lines(daemon, 'late'), ['started']);
  });
});

test('a container that listens hears also of what happens while there is no reconciler, and of nothing twice', async () => {
  const args = ['wait', '300', ...say(hello(true)), 'hear', '3', '9'];
  const fields = 'console: { permissions: [notifications] }\n';
  const ear = await probePackage({ name: 'ear', args, fields });
  const brief = await probePackage({ name: 'brief' });
  const entries = ['ear', 'brief'].map((name) => `${name}: { state: running, restart: { policy: never } }`);
  await withDaemon([ear, brief], entries, async (daemon) => {
    const { pid } = await running(daemon, 'brief');
    await untilLogged(daemon, 'connect_ack');
    await killReconciler(daemon);
    process.kill(pid ?? 0, 'SIGKILL');
    await spoken(daemon, 'ear', 2);
    await succeed(daemon);
    assert.equal((await daemon.run('start', 'brief')).code, 0);
    assert.deepEqual(await spoken(daemon, 'ear', 3), [
      '{"connect_ack":null}',
      '{"notification":{"exit":["brief:1.0.0",{"signalled":{"signal":9}}]}}',
      '{"notification":{"started":"brief:1.0.0"}}',
    ]);
  });
});

test('consoles of containers that have ended leave no descriptor, in the reconciler or the launcher', async () => {
  const args = [...say(hello(false)), 'sleep'];
  const talker = await probePackage({ name: 'talker', args, fields: 'console: { permissions: full }\n' });
  await withDaemon([talker], ['talker: { state: mounted, restart: { policy: never } }'], async (daemon) => {
    const open = (): string[] => [daemon.pid, daemon.reconciler()].map(consolesOf);
    for (let round = 0; round < 3; round += 1) {
      assert.equal((await daemon.run('start', 'talker')).code, 0);
      assert.match(open().join(), /northstate console talker:1\.0\.0/);
      assert.equal((await daemon.run('kill', 'talker', 'KILL')).code, 0);
      await daemon.until('it has ended and is forgotten', ({ converged }) => converged);
    }
    await daemon.run('get');
    assert.deepEqual(open(), ['', '']);
  });
});

test('a client that connects while there is no reconciler is served by the next one', async () => {
  await withDaemon([], [], async (daemon) => {
    await killReconciler(daemon);
    const client = await connectConsole(daemon.console);
    assert.equal(await client.call('ident', null), 'extern:0.0.0');
    client.close();
  });
});

/** The files in memory of containers' consoles that a process has open; a reconciler that sleeps has none. */
function consolesOf(pid: number | null): string {
  if (pid === null) return '';
  const targets = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
  return targets.filter((target) => target.includes('northstate console') && !target.includes('extern')).join(' ');
}

/** The first lines of a container's output, as soon as there are so many. */
async function spoken(daemon: Daemon, name: string, count: number): Promise<string[]> {
  const client = await connectConsole(daemon.console);
  try {
    await client.call('logs', { name, since: null, follow: true });
    const found: string[] = [];
    for await (const notification of client.notifications()) {
      if (typeof notification === 'object' && 'log' in notification) found.push(notification.log.line);
      if (found.length === count) return found;
    }
    throw new Error(`${name} has said only ${JSON.stringify(found)}`);
  } finally {
    client.close();
  }
}
