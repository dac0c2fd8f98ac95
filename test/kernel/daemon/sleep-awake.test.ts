// What keeps the reconciler awake: whoever waits for something that only this very process can give.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connectConsole, type Client } from '../../../src/client/console-client.ts';
import { freePort } from '../../support/free-port.ts';
import { probePackage } from '../../support/packages.ts';
import { asleep, staysAwake, wokenBy, withSleeper } from '../../support/sleeper.ts';
import type { Daemon } from '../../support/test-daemon.ts';

const idle = await probePackage({ name: 'idle', args: ['sleep'] });
const running = 'idle: { state: running }';
/** ms that it is looked at: some rests of 200 ms, after which it would sleep. */
const looked = 1500;

test('followed logs and events, a session and a connection over TCP keep it awake, and only as long as they last', async () => {
  const port = await freePort();
  const followed = async (daemon: Daemon, follow: (client: Client) => Promise<unknown>): Promise<() => void> => {
    const client = await connectConsole(daemon.console);
    await follow(client);
    return () => client.close();
  };
  const body = async (daemon: Daemon): Promise<void> => {
    const cases: Record<string, () => Promise<() => unknown>> = {
      'followed logs': () =>
        followed(daemon, (client) => client.call('logs', { name: 'idle', since: null, follow: true })),
      'followed events': () =>
        followed(daemon, (client) => client.call('events', { since: null, boot: null, follow: true })),
      'a connection over TCP': async () => {
        const socket = connect(port, '127.0.0.1');
        await once(socket, 'connect');
        return () => socket.destroy();
      },
    };
    for (const [name, begin] of Object.entries(cases)) {
      await asleep(daemon);
      const end = await begin();
      // The launcher has seen it by then.
      await daemon.run('get');
      assert.ok(await staysAwake(daemon, looked), `${name}: it has slept`);
      await end();
      await asleep(daemon);
    }
    const session = daemon.run('exec', 'idle', '--', '/probe', 'print', '1', 'in', 'wait', '2500', 'exit', '3');
    await daemon.run('get');
    assert.ok(await staysAwake(daemon, looked), 'a session: it has slept');
    assert.equal((await session).code, 3);
    await asleep(daemon);
  };
  await withSleeper([idle], [running], body, '200ms', {
    configuration: `metrics: { listen: "tcp://127.0.0.1:${port}" }\n`,
  });
});

test('128 clients of a unix socket do not keep it awake; those beyond do, as long as they are there', async () => {
  await withSleeper([idle], [running], async (daemon) => {
    const clients: Client[] = [];
    for (let count = 0; count < 128; count += 1) clients.push(await connectConsole(daemon.console));
    await asleep(daemon);
    const beyond = await connectConsole(daemon.console);
    assert.ok(await staysAwake(daemon, looked), 'it has slept over a connection that only it has');
    assert.deepEqual(await beyond.call('list', null), ['idle:1.0.0']);
    beyond.close();
    await asleep(daemon);
    // The others notice nothing.
    assert.deepEqual(await clients[127]?.call('list', null), ['idle:1.0.0']);
    for (const client of clients) client.close();
  });
});

test('containers that write keep it awake where what they write is in its log, and do not wake it where it is not', async () => {
  const writer = await probePackage({
    name: 'writer',
    args: [
      'signals',
      'wait',
      '300',
      'print',
      '1',
      'a',
      'wait',
      '300',
      'print',
      '1',
      'b',
      'wait',
      '300',
      'print',
      '1',
      'c',
      'wait',
      '300',
      'print',
      '1',
      'd',
      'wait',
      '300',
      'print',
      '1',
      'e',
      'sleep',
    ],
  });
  const entries = ['writer: { state: running }'];
  const begin = async (daemon: Daemon): Promise<void> => {
    const client = await connectConsole(daemon.console);
    await client.call('kill', { container: 'writer:1.0.0', signal: 15, lifetime: undefined });
    client.close();
  };
  const said = async (daemon: Daemon): Promise<string> => (await daemon.run('logs', 'writer')).stdout;
  // The tests' runtimes log what containers write (debug); a device does not.
  await withSleeper(
    [writer],
    entries,
    async (daemon) => {
      await asleep(daemon);
      await begin(daemon);
      assert.ok(await staysAwake(daemon, 1200), 'it has slept while something was written');
      await asleep(daemon);
      assert.match(await said(daemon), /a\n(.*\n)*.*e\n$/);
    },
    '500ms',
  );
  await withSleeper(
    [writer],
    entries,
    async (daemon) => {
      await wokenBy(daemon, () => begin(daemon));
      assert.equal(await staysAwake(daemon, 100), false);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.equal(daemon.reconciler(), null, 'what was written has woken it');
      assert.match(await said(daemon), /a\n(.*\n)*.*e\n$/);
    },
    '100ms',
    { level: 'info' },
  );
});
