import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { connect, ConnectionLost, NoConsole, type Northstate } from '../../../src/client/northstate.ts';
import { applied } from '../../../state/text/operations.ts';
import { openConsole, type Console } from '../../../src/console/server/server.ts';
import { fakeRuntime, type FakeRuntime } from '../../support/console/fake-runtime.ts';
import { openTestConsole, scratchDirectory, silentLog, testTokens } from '../../support/console/scratch.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };

/** A console that may be closed and opened again at the same address, as a restarted reconciler does. */
async function restartable(context: TestContext, runtime: FakeRuntime) {
  const listen = `unix://${await scratchDirectory(context)}/console`;
  const open = (): Promise<Console> =>
    openConsole({
      listen,
      permissions: 'full',
      patches: 'document',
      runtime,
      log: silentLog,
      tokens: testTokens,
      now: () => 0,
    });
  let console = await open();
  context.after(() => console.close());
  return {
    url: listen,
    /** `meanwhile` happens while nobody listens. */
    async restart(meanwhile: () => void = () => undefined) {
      await console.close();
      meanwhile();
      console = await open();
    },
  };
}

async function connected(context: TestContext, url: string, options = {}): Promise<Northstate> {
  const client = await connect({ url, ...options });
  context.after(() => client.close());
  return client;
}

function converge(runtime: FakeRuntime, value: boolean): void {
  const change = { op: 'replace', path: '/converged', value } as const;
  runtime.change([change], { ...runtime.state().status, converged: value });
}

test('each request has a method with an answer of its own type', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const client = await connected(context, await openTestConsole(context, runtime));
  assert.deepEqual(await client.list(), ['broker:1.2.3']);
  await client.start('broker:1.2.3', { env: { LEVEL: 'high' } });
  await client.kill('broker:1.2.3');
  assert.equal((await client.status()).converged, true);
  assert.equal(await client.apply('apiVersion: northstate/v1\n', { expected: 1 }), 2);
  assert.equal(await client.patch([{ op: 'remove', path: '/containers/broker' }]), 2);
  assert.equal(await client.merge({ containers: {} }, { lifetime: 'boot' }), 2);
  assert.equal(await client.rollback(1), 2);
  assert.equal(await client.wait({ timeout: 1000 }), 'converged');
  assert.equal((await client.desired()).document, 'apiVersion: northstate/v1\n');
  assert.deepEqual(Object.keys((await client.observed('broker')).observed).includes('packages'), true);
});

test('a watcher goes on by its number when the console comes back: no change is lost, none told twice', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const console = await restartable(context, runtime);
  const client = await connected(context, console.url);
  const seen: unknown[] = [];
  for await (const { sequence, status, gap } of client.watch()) {
    seen.push([sequence, status.converged, gap]);
    if (seen.length === 1) {
      await console.restart();
      converge(runtime, false);
    } else if (seen.length === 2) converge(runtime, true);
    else break;
  }
  assert.deepEqual(seen, [
    [0, true, null],
    [1, false, null],
    [2, true, null],
  ]);
});

test('a watcher that was away for too long is told the gap and the whole status', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const console = await restartable(context, runtime);
  const client = await connected(context, console.url);
  const seen: unknown[] = [];
  for await (const { sequence, gap, operations } of client.watch()) {
    seen.push([sequence, gap, operations]);
    if (seen.length === 2) break;
    await console.restart(() => {
      for (let count = 0; count < 9; count++) converge(runtime, count % 2 === 0);
    });
  }
  assert.deepEqual(seen, [
    [0, null, null],
    [9, { since: 0, boot: 'this-boot', oldest: 6 }, null],
  ]);
});

test('what is asked while the console is away is answered when it is back', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const console = await restartable(context, runtime);
  const client = await connected(context, console.url, { subscribe: true });
  const told = client.notifications();
  await console.restart();
  assert.deepEqual((await told.next()).value, { reconnected: true });
  assert.deepEqual(await client.list(), ['broker:1.2.3']);
  runtime.emit({ type: 'started', container: 'broker:1.2.3' });
  assert.deepEqual((await told.next()).value, { started: 'broker:1.2.3' });
  client.close();
  assert.equal((await told.next()).done, true);
  await assert.rejects(client.list(), ConnectionLost);
});

test('a command whose answer is lost is not given again, a question is', async (context) => {
  const path = join(await scratchDirectory(context), 'console');
  const asked: string[] = [];
  const server = createServer((socket: Socket) => {
    createInterface({ input: socket }).on('line', (line) => {
      if (line.includes('connect')) socket.write('{"connect_ack":null}\n');
      else if (asked.push(line) <= 2) socket.destroy();
      else socket.write('{"response":{"list":[]}}\n');
    });
    socket.on('error', () => undefined);
  }).listen(path);
  context.after(() => void server.close());
  await once(server, 'listening');
  const client = await connected(context, `unix://${path}`);
  await assert.rejects(client.start('broker:1.2.3'), ConnectionLost);
  assert.deepEqual(await client.list(), []);
  assert.equal(asked.length, 3);
});

test('a console that hangs up at a request is asked a few times, later and later, and then said not to know it', async (context) => {
  const path = join(await scratchDirectory(context), 'console');
  let connections = 0;
  const server = createServer((socket: Socket) => {
    connections += 1;
    createInterface({ input: socket }).on('line', (line) => {
      if (line.includes('connect')) socket.write('{"connect_ack":null}\n');
      else socket.destroy();
    });
    socket.on('error', () => undefined);
  }).listen(path);
  context.after(() => void server.close());
  await once(server, 'listening');
  const client = await connected(context, `unix://${path}`);
  await assert.rejects(client.status(), {
    name: 'Error',
    message: 'this console does not know `get`: it hangs up',
  });
  assert.equal(connections, 5);
});

test('lines of a followed log come once over a restart of the console', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const console = await restartable(context, runtime);
  runtime.lines = [1, 2, 2, 3].map((time, index) => ({ time, stream: 'stdout', line: `line ${index}` }));
  const client = await connected(context, console.url);
  const lines: string[] = [];
  for await (const { line } of client.logs('broker', { follow: true })) {
    if (lines.push(line) === 3) await console.restart();
    if (line === 'line 4') break;
    if (line === 'line 3') {
      runtime.lines = [...runtime.lines, { time: 3, stream: 'stdout', line: 'line 4' }];
      await console.restart();
    }
  }
  assert.deepEqual(lines, ['line 0', 'line 1', 'line 2', 'line 3', 'line 4']);
});

test('patience waits for a console that is not there yet; without it the error comes at once', async (context) => {
  const runtime = fakeRuntime();
  const listen = `unix://${await scratchDirectory(context)}/console`;
  await assert.rejects(connect({ url: listen }), NoConsole);
  const early = connect({ url: listen, patience: { first: 10_000 } });
  const options = { listen, permissions: 'full', patches: 'document', log: silentLog, tokens: testTokens } as const;
  const console = await openConsole({ ...options, runtime, now: () => 0 });
  context.after(() => console.close());
  (await early).close();
});

test('operations make a new value and leave the one before as it was', () => {
  const before = { a: { b: 1 }, list: [1, 2, 3], ['__proto__']: { x: 1 } };
  const after = applied(before, [
    { op: 'add', path: '/a/c', value: 2 },
    { op: 'remove', path: '/a/b' },
    { op: 'replace', path: '/list/length', value: 2 },
    { op: 'add', path: '/list/-', value: 4 },
    { op: 'remove', path: '/list/0' },
  ] as never);
  assert.deepEqual(after, { a: { c: 2 }, list: [2, 4], ['__proto__']: { x: 1 } });
  assert.deepEqual(before.list, [1, 2, 3]);
});
