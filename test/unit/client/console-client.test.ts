import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { connectConsole, ConsoleError, NoConsole, type Client } from '../../../src/client/console-client.ts';
import { RuntimeError, type Runtime } from '../../../src/runtime/runtime.ts';
import { fakeRuntime } from '../../support/console/fake-runtime.ts';
import { openTestConsole, scratchDirectory } from '../../support/console/scratch.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };
const start = { container: 'broker:1.2.3', init: null, arguments: [], environment: {}, lifetime: undefined };

test('requests may be sent without waiting; each gets its own answer', async (context) => {
  const { client } = await connected(context);
  const answers = await Promise.all([
    client.call('ident', null),
    client.call('list', null),
    client.call('start', start),
    client.call('repositories', null),
  ]);
  assert.deepEqual(answers, ['extern:0.0.0', ['broker:1.2.3'], { container: 'broker:1.2.3' }, ['system']]);
});

test('an error is thrown with its name, detail and a sentence', async (context) => {
  const { client } = await connected(context);
  await assert.rejects(client.call('kill', { container: 'nope:1.0.0', signal: 15, lifetime: undefined }), (error) => {
    assert.ok(error instanceof ConsoleError);
    assert.equal(error.reason, 'invalid_container');
    assert.deepEqual(error.detail, { container: 'nope:1.0.0' });
    assert.match(error.message, /nope:1\.0\.0 is not installed/);
    return true;
  });
});

test('what is not permitted is an error, too', async (context) => {
  const url = await openTestConsole(context, fakeRuntime(), { permissions: ['ident'] });
  const client = await connect(context, url);
  await assert.rejects(client.call('list', null), /list is not permitted/);
  await assert.rejects(connectConsole(url, { subscribe: true }), /refused the connection.*permission_denied/);
});

test('events come as notifications, in order, also those that came before anybody looked', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const client = await connect(context, await openTestConsole(context, runtime), true);
  await client.call('start', start);
  await client.call('kill', { container: 'broker:1.2.3', signal: 9, lifetime: undefined });
  const seen: unknown[] = [];
  for await (const notification of client.notifications()) {
    if (seen.push(notification) === 2) break;
  }
  assert.deepEqual(seen, [{ started: 'broker:1.2.3' }, { exit: ['broker:1.2.3', { signalled: { signal: 9 } }] }]);
});

test('the iteration over notifications ends with the connection', async (context) => {
  const { client } = await connected(context);
  const end = client.notifications()[Symbol.asyncIterator]().next();
  client.close();
  assert.equal((await end).done, true);
});

test('a package is streamed, and a refused one leaves the connection usable', async (context) => {
  const runtime = fakeRuntime();
  const client = await connect(context, await openTestConsole(context, runtime));
  const body = { repository: 'nowhere', size: 1_000_000, lifetime: undefined };
  await assert.rejects(client.install(body, Readable.from([Buffer.alloc(1_000_000)])), /no repository nowhere/);
  assert.equal(await client.call('ident', null), 'extern:0.0.0');
});

test('a failed request is an error of the runtime in words', async (context) => {
  const { client, runtime } = await connected(context);
  const detail = { container: 'broker:1.2.3', resource: 'maps', version: '^2' };
  runtime.failure = new RuntimeError('start_container_missing_resource', 'missing', detail);
  await assert.rejects(client.call('start', start), /broker:1\.2\.3 needs maps \^2/);
});

test('a console that hangs up fails the requests under way and all later ones', async (context) => {
  const path = join(await scratchDirectory(context), 'console');
  const server = createServer((socket) => {
    socket.write('{"connect_ack":null}\n');
    socket.on('data', (data) => {
      if (data.includes('ident')) socket.destroy();
    });
  }).listen(path);
  context.after(() => void server.close());
  await once(server, 'listening');
  const client = await connect(context, `unix://${path}`);
  await assert.rejects(client.call('ident', null), /ended the connection/);
  await assert.rejects(client.call('list', null), /./);
});

test('where nobody listens the error says so', async () => {
  await assert.rejects(connectConsole('unix:///nowhere/console'), NoConsole);
});

async function connect(context: TestContext, url: string, subscribe = false): Promise<Client> {
  const client = await connectConsole(url, { subscribe });
  context.after(() => client.close());
  return client;
}

async function connected(
  context: TestContext,
): Promise<{ client: Client; runtime: Runtime & { failure: Error | null } }> {
  const runtime = fakeRuntime({ packages: [broker] });
  return { client: await connect(context, await openTestConsole(context, runtime)), runtime };
}
