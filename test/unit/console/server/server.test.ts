import assert from 'node:assert/strict';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { RuntimeError } from '../../../../src/runtime/runtime.ts';
import { fakeRuntime } from '../../../support/console/fake-runtime.ts';
import { containerStatus } from '../../../support/console/fake-state.ts';
import {
  connectRaw,
  openTestConsole,
  rawClient,
  scratchDirectory,
  silentLog,
  testTokens,
} from '../../../support/console/scratch.ts';
import { openConsole } from '../../../../src/console/server/server.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };
const start = { container: 'broker:1.2.3', init: null, arguments: [], environment: {} };

test('the socket belongs to its owner alone', async (context) => {
  const url = await openTestConsole(context, fakeRuntime());
  assert.equal(statSync(url.slice('unix://'.length)).mode & 0o777, 0o600);
});

test('a socket that a dead process left behind is replaced', async (context) => {
  const path = join(await scratchDirectory(context), 'console');
  const dead = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  const { spawn } = await import('node:child_process');
  await once(spawn(process.execPath, ['-e', dead]), 'exit');
  assert.ok(statSync(path).isSocket());
  await openTestConsole(context, fakeRuntime(), { listen: `unix://${path}` });
  const client = await connectRaw(context, `unix://${path}`);
  client.send({ request: 'ident' });
  assert.deepEqual(await client.next(), { response: { ident: 'extern:0.0.0' } });
});

test('a socket that somebody serves, and any other file, is left alone', async (context) => {
  const directory = await scratchDirectory(context);
  const server = createServer().listen(join(directory, 'served'));
  context.after(() => void server.close());
  await once(server, 'listening');
  await writeFile(join(directory, 'file'), '');
  const options = {
    permissions: 'full',
    patches: 'document',
    runtime: fakeRuntime(),
    tokens: testTokens,
    log: silentLog,
    now: () => 0,
  } as const;
  await assert.rejects(openConsole({ listen: `unix://${directory}/served`, ...options }), /another process listens/);
  await assert.rejects(openConsole({ listen: `unix://${directory}/file`, ...options }), /something else than a socket/);
});

test('a client that says nothing is dropped after the connect timeout', async (context) => {
  const url = await openTestConsole(context, fakeRuntime(), { limits: { connectTimeout: 20 } });
  assert.equal(await rawClient(context, url).next(), null);
});

test('requests that come at once are answered in order, also when the first takes longest', async (context) => {
  const url = await openTestConsole(context, fakeRuntime({ packages: [broker] }));
  const client = await connectRaw(context, url);
  client.socket.write(`${JSON.stringify({ request: { start } })}\n{"request":"ident"}\n{"request":"list"}\n`);
  assert.deepEqual(await client.next(), { response: { start: { ok: { container: 'broker:1.2.3' } } } });
  assert.deepEqual(await client.next(), { response: { ident: 'extern:0.0.0' } });
  assert.deepEqual(await client.next(), { response: { list: ['broker:1.2.3'] } });
});

test('a client that half-closes still gets its answers', async (context) => {
  const url = await openTestConsole(context, fakeRuntime());
  const client = rawClient(context, url);
  client.socket.end('{"connect":{"version":"0.9.2","subscribe_notifications":false}}\n{"request":"ident"}\n');
  assert.deepEqual(await client.next(), { connect_ack: null });
  assert.deepEqual(await client.next(), { response: { ident: 'extern:0.0.0' } });
  assert.equal(await client.next(), null);
});

test('a subscriber that does not read is disconnected', async (context) => {
  const runtime = fakeRuntime();
  const url = await openTestConsole(context, runtime, { limits: { unread: 10_000 } });
  const client = await connectRaw(context, url, true);
  client.socket.pause();
  const closed = once(client.socket, 'close');
  for (let count = 0; count < 50_000; count += 1) runtime.emit({ type: 'started', container: 'broker:1.2.3' });
  client.socket.resume();
  await closed;
  const other = await connectRaw(context, url);
  other.send({ request: 'ident' });
  assert.deepEqual(await other.next(), { response: { ident: 'extern:0.0.0' } });
});

test('watch gives the status, then every change of it with its number', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const url = await openTestConsole(context, runtime);
  const client = await connectRaw(context, url);
  client.send({ request: 'watch' });
  const { status } = runtime.state();
  const place = { boot: 'this-boot', sequence: 0, missed: [], gap: null };
  const snapshot = { ...place, status: JSON.parse(JSON.stringify(status)) as unknown };
  assert.deepEqual(await client.next(), { response: { watch: { ok: snapshot } } });
  const operations = [{ op: 'replace', path: '/converged', value: false }] as const;
  runtime.change(operations, { ...status, converged: false });
  assert.deepEqual(await client.next(), { notification: { status: { operations, sequence: 1 } } });
});

test('logs sends the lines beside other answers, then says that it is over', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const line = { time: 1, stream: 'stdout', line: 'hello' } as const;
  runtime.lines = [line];
  const url = await openTestConsole(context, runtime);
  const client = await connectRaw(context, url);
  client.send({ request: { logs: { name: 'broker', since: null, follow: false } } });
  assert.deepEqual(await client.next(), { response: { logs: { ok: { name: 'broker', boot: 'this-boot' } } } });
  assert.deepEqual(await client.next(), { notification: { log: { name: 'broker', ...line } } });
  assert.deepEqual(await client.next(), { notification: { log_end: { name: 'broker', error: null } } });
});

test('a followed log ends with its connection', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const { promise, resolve } = Promise.withResolvers<void>();
  runtime.logs = async function* (_, { signal }) {
    await once(signal, 'abort');
    resolve();
    yield* [];
  };
  const url = await openTestConsole(context, runtime);
  const client = await connectRaw(context, url);
  client.send({ request: { logs: { name: 'broker', since: null, follow: true } } });
  await client.next();
  client.socket.destroy();
  await promise;
});

test("patches last as long as the request says, else as the listener's do", async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const url = await openTestConsole(context, runtime, { patches: 'boot' });
  const client = await connectRaw(context, url);
  client.send({ request: { stop: { name: 'broker' } } });
  await client.next();
  client.send({ request: { stop: { name: 'broker', lifetime: 'document', timeout: 5 } } });
  await client.next();
  const command = { type: 'stop', name: 'broker' };
  assert.deepEqual(runtime.calls, [
    { command, lifetime: 'boot', origin: 'extern:0.0.0', timeout: 10_000 },
    { command, lifetime: 'document', origin: 'extern:0.0.0', timeout: 5 },
  ]);
});

test('an error that Northstar does not know is unexpected to its clients, and told as it is in answers of ours', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  runtime.failure = new RuntimeError('timeout', 'broker is not there after 10 s', { name: 'broker' });
  const url = await openTestConsole(context, runtime);
  const client = await connectRaw(context, url);
  client.send({ request: { start } });
  const error = { unexpected: { error: 'broker is not there after 10 s' } };
  assert.deepEqual(await client.next(), { response: { start: { error: { container: 'broker:1.2.3', error } } } });
  client.send({ request: { restart: { name: 'broker' } } });
  const ours = { timeout: { name: 'broker', message: 'broker is not there after 10 s' } };
  assert.deepEqual(await client.next(), { response: { restart: { error: { error: ours } } } });
});

test('an unknown name is an error, a name:version that an entry stands for is its name', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const { status } = runtime.state();
  runtime.change([], { ...status, containers: { ...status.containers, 'maps:2.0.0': containerStatus('2.0.0') } });
  const url = await openTestConsole(context, runtime);
  const client = await connectRaw(context, url);
  const asked = async (name: string): Promise<unknown> => {
    client.send({ request: { stop: { name } } });
    return ((await client.next()) as { response: { stop: unknown } }).response.stop;
  };
  assert.deepEqual(await asked('broker:1.2.3'), { ok: { name: 'broker' } });
  assert.deepEqual(await asked('maps'), { ok: { name: 'maps:2.0.0' } });
  const unknown = { name: 'nope', message: 'there is no container nope' };
  assert.deepEqual(await asked('nope'), { error: { error: { unknown_name: unknown } } });
});

test('closing the console tells what is due, hangs up and removes the socket', async (context) => {
  const runtime = fakeRuntime();
  const listen = `unix://${await scratchDirectory(context)}/console`;
  const console = await openConsole({
    listen,
    permissions: 'full',
    patches: 'boot',
    runtime,
    tokens: testTokens,
    log: silentLog,
    now: () => 0,
  });
  const client = await connectRaw(context, listen, true);
  client.send({ request: 'shutdown' });
  assert.deepEqual(await client.next(), { response: 'shutdown' });
  assert.deepEqual(await client.next(), { notification: 'shutdown' });
  await console.close();
  assert.equal(await client.next(), null);
  assert.equal(statSync(listen.slice('unix://'.length), { throwIfNoEntry: false }), undefined);
});
