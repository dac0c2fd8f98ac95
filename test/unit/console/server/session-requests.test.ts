// A connection that is in a container, over a runtime without a kernel.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { connect, type Session } from '../../../../src/client/northstate.ts';
import type { Permissions } from '../../../../src/console/protocol/permissions.ts';
import { fakeRuntime } from '../../../support/console/fake-runtime.ts';
import { openTestConsole, rawClient } from '../../../support/console/scratch.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };

async function opened(context: TestContext, permissions: Permissions = 'full') {
  const runtime = fakeRuntime({ packages: [broker] });
  const url = await openTestConsole(context, runtime, { permissions });
  const client = await connect({ url, reconnect: false });
  context.after(() => client.close());
  return { runtime, client, url };
}

async function all(session: Session): Promise<string> {
  let said = '';
  for await (const { data } of session.output()) said += data.toString();
  session.close();
  return said;
}

test('what is written comes back, however much and however slowly it is read', async (context) => {
  const { client, runtime } = await opened(context);
  const session = await client.exec('broker', ['/bin/cat'], { input: true });
  const bytes = Buffer.alloc(2_000_000, 'a line\n');
  const said = all(session);
  await session.write(bytes);
  await session.end();
  assert.equal(await said, bytes.toString());
  assert.deepEqual(await session.ended, { exit: { code: 0 }, failure: null });
  assert.deepEqual(runtime.calls, [['join', 'broker', { exec: ['/bin/cat'] }, 'extern:0.0.0']]);
});

test('sizes and signals go to the session, and to none that is not there', async (context) => {
  const { client } = await opened(context);
  const terminal = { rows: 24, columns: 80, type: 'vt100' };
  const session = await client.exec('broker', ['/bin/sh'], { input: true, terminal });
  const said = all(session);
  await session.resize({ rows: 30, columns: 90 });
  await session.signal(15);
  assert.equal(await said, '30x90\nsignal 15\n');
  await assert.rejects(client.call('session_signal', { signal: 15 }), { reason: 'invalid_arguments' });
  await assert.rejects(client.exec('broker', []), { reason: 'invalid_arguments' });
  await assert.rejects(client.exec('nobody', ['/bin/id']), { reason: 'unknown_name' });
  await assert.rejects(client.copy({ name: 'broker', direction: 'out', path: 'relative' }), /no absolute path/);
});

test('a client that does not wait for what was taken is hung up on', async (context) => {
  const { url } = await opened(context);
  const raw = rawClient(context, url);
  raw.send({ connect: { version: '0.9.2', subscribe_notifications: false } });
  await raw.next();
  raw.send({ request: { exec: { name: 'broker', command: ['/bin/deaf'], input: true, terminal: null, user: null } } });
  await raw.next();
  const data = Buffer.alloc(500_000).toString('base64');
  for (let sent = 0; sent < 10; sent++) raw.send({ request: { session_input: { data } } });
  let answer: unknown;
  do answer = await raw.next();
  while (answer !== null && !JSON.stringify(answer).includes('bytes of input wait'));
  assert.notEqual(answer, null);
});

test('one connection is in one container; Northstar’s clients hear nothing of it', async (context) => {
  const { url, runtime } = await opened(context);
  const raw = rawClient(context, url);
  raw.send({ connect: { version: '0.9.2', subscribe_notifications: true } });
  await raw.next();
  runtime.emit({ type: 'session', container: 'broker:1.2.3', by: 'extern:0.0.0', does: '/bin/sh', privileged: false });
  runtime.emit({ type: 'session_end', container: 'broker:1.2.3', by: 'extern:0.0.0', exit: { code: 0 } });
  runtime.emit({ type: 'started', container: 'broker:1.2.3' });
  assert.deepEqual(await raw.next(), { notification: { started: 'broker:1.2.3' } });
  const exec = { exec: { name: 'broker', command: ['/bin/id'], input: true, terminal: null, user: null } };
  raw.send({ request: exec });
  assert.deepEqual(await raw.next(), { response: { exec: { ok: { container: 'broker:1.2.3' } } } });
  raw.send({ request: exec });
  assert.match(JSON.stringify(await raw.next()), /this connection is in a container already/);
});

test('exec and copy have permissions of their own, and more rights have another', async (context) => {
  const { client } = await opened(context, ['exec']);
  await client.exec('broker', ['/bin/id']).then(all);
  const denied = { reason: 'permission_denied' };
  await assert.rejects(client.exec('broker', ['/bin/id'], { privileged: true }), denied);
  await assert.rejects(client.exec('broker', ['/bin/id'], { user: { uid: 0, gid: 0 } }), denied);
  await assert.rejects(client.copy({ name: 'broker', direction: 'out', path: '/a' }), denied);
});

test('run-once has a permission of its own, with arguments that of a command as well', async (context) => {
  const { client, runtime } = await opened(context, ['run_once', 'get']);
  assert.equal(await all(await client.runOnce('broker', { timeout: 5000 })), 'no input\n');
  assert.deepEqual(runtime.calls, [['runOnce', 'broker', [], 5000, 'extern:0.0.0']]);
  await assert.rejects(client.runOnce('broker', { args: ['--full'] }), { reason: 'permission_denied' });
  const { client: other } = await opened(context, ['start', 'exec']);
  await assert.rejects(other.runOnce('broker'), { reason: 'permission_denied' });
});
