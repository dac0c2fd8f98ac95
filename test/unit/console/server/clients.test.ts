// Clients that are slow, silent, half gone or liars, many of them, and one that floods: each is served or hung up on as its
// limits say, and the others do not notice.
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { fakeRuntime, type FakeRuntime } from '../../../support/console/fake-runtime.ts';
import { connectRaw, openTestConsole, rawClient } from '../../../support/console/scratch.ts';
import { wholeOf } from '../../../support/pieces.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };
const ident = { response: { ident: 'extern:0.0.0' } };
const install = (size: number) => ({ request: { install: { repository: 'system', size } } });

/** A runtime that takes a package of ten bytes, and says what it was given. */
function receiving(): FakeRuntime & { readonly received: (Buffer | Error)[]; readonly told: EventEmitter } {
  const received: (Buffer | Error)[] = [];
  const told = new EventEmitter();
  const runtime = fakeRuntime({ packages: [broker] });
  runtime.install = async (_repository, _size, pieces) => {
    try {
      received.push(await wholeOf(pieces));
      return { container: 'new:1.0.0', notDurable: null };
    } catch (error) {
      received.push(error as Error);
      throw error;
    } finally {
      told.emit('received');
    }
  };
  return { ...runtime, received, told };
}

test('a client that reads byte by byte gets every answer, in order, and holds up nobody', async (context) => {
  const url = await openTestConsole(context, fakeRuntime({ packages: [broker] }), {
    limits: { requestsPerSecond: 1e6 },
  });
  const slow = connect(url.slice('unix://'.length));
  context.after(() => void slow.destroy());
  const count = 3000;
  const asked = Array.from({ length: count }, (_, index) => ({
    request: { inspect: { container: `x:0.0.${index}` } },
  }));
  const hello = { connect: { version: '0.9.2', subscribe_notifications: false } };
  slow.write([hello, ...asked].map((message) => `${JSON.stringify(message)}\n`).join(''));
  const other = await connectRaw(context, url);
  other.send({ request: 'ident' });
  assert.deepEqual(await other.next(), ident);
  const heard: Buffer[] = [];
  for (let turn = 0; turn < 500; turn += 1) {
    const piece = slow.read(1) as Buffer | null;
    if (piece === null) await once(slow, 'readable');
    else heard.push(piece);
  }
  slow.on('data', (data: Buffer) => heard.push(data)).end();
  await once(slow, 'close');
  const [ack, ...answers] = Buffer.concat(heard).toString().trimEnd().split('\n');
  assert.equal(ack, '{"connect_ack":null}');
  for (const [index, answer] of answers.entries()) assert.match(answer, new RegExp(`"x:0\\.0\\.${index}"`));
  assert.equal(answers.length, count);
});

test('a client that says nothing within a package is hung up on, one that says nothing between requests is not', async (context) => {
  const runtime = receiving();
  const url = await openTestConsole(context, runtime, { limits: { installStall: 40, connectTimeout: 40 } });
  const idle = await connectRaw(context, url);
  const silent = await connectRaw(context, url);
  silent.send(install(10));
  silent.socket.write('12345');
  assert.equal(await silent.next(), null);
  assert.match(String(runtime.received[0]), /sent nothing for too long/);
  idle.send({ request: 'ident' });
  assert.deepEqual(await idle.next(), ident);
});

test('a client that hangs up within a package leaves nothing behind', async (context) => {
  const runtime = receiving();
  const url = await openTestConsole(context, runtime);
  for (const hangUp of ['end', 'destroy'] as const) {
    const client = await connectRaw(context, url);
    client.send(install(10));
    client.socket.write('12345', () => client.socket[hangUp]());
    await once(runtime.told, 'received');
  }
  const other = await connectRaw(context, url);
  other.send({ request: 'list' });
  assert.deepEqual(await other.next(), { response: { list: ['broker:1.2.3'] } });
  for (const each of runtime.received) assert.match(String(each), /hung up 5 bytes before the end/);
});

test('a client that sends more than it has announced has said something else', async (context) => {
  const runtime = receiving();
  const url = await openTestConsole(context, runtime);
  const honest = await connectRaw(context, url);
  honest.socket.write(`${JSON.stringify(install(10))}\n0123456789{"request":"ident"}\n`);
  assert.deepEqual(await honest.next(), { response: { install: { ok: { container: 'new:1.0.0' } } } });
  assert.deepEqual(await honest.next(), ident);
  const liar = await connectRaw(context, url);
  liar.socket.write(`${JSON.stringify(install(4))}\n0123456789\n{"request":"ident"}\n`);
  assert.deepEqual(await liar.next(), { response: { install: { ok: { container: 'new:1.0.0' } } } });
  assert.equal(await liar.next(), null);
  assert.deepEqual(runtime.received.map(String), ['0123456789', '0123']);
});

test('a line without end is not kept beyond its limit', async (context) => {
  const url = await openTestConsole(context, fakeRuntime(), { limits: { requestSize: 100_000 } });
  const endless = await connectRaw(context, url);
  const closed = new Promise((resolve) => endless.socket.on('close', resolve));
  const more = (): void =>
    void endless.socket.write(Buffer.alloc(10_000, 'x'), (error) => (error ? undefined : more()));
  more();
  await closed;
});

test('many long lines without end do not add up: beyond what all may hold together a connection ends, and short ones go on', async (context) => {
  const url = await openTestConsole(context, fakeRuntime(), { limits: { requestSize: 300_000, memory: 1_000_000 } });
  const [calm, ...greedy] = await Promise.all(Array.from({ length: 9 }, () => connectRaw(context, url)));
  const ended = greedy.map(({ socket }) => new Promise((resolve) => socket.on('close', () => resolve(socket))));
  for (const { socket } of greedy) socket.write(Buffer.alloc(290_000, 'x'));
  await Promise.race(ended);
  calm?.send({ request: 'ident' });
  assert.deepEqual(await calm?.next(), ident);
  for (const { socket } of greedy) socket.destroy();
  await Promise.all(ended);
  const late = await connectRaw(context, url);
  late.socket.write(`${JSON.stringify({ request: 'ident' })}${' '.repeat(290_000)}\n`);
  assert.deepEqual(await late.next(), ident);
});

test('a thousand connections are served while one of them floods, and those beyond the limit are not let in', async (context) => {
  const count = 1000;
  const limits = { connections: count, requestsPerSecond: 1e6 };
  const url = await openTestConsole(context, fakeRuntime({ packages: [broker] }), { limits });
  const path = url.slice('unix://'.length);
  const flood = connect(path);
  context.after(() => void flood.destroy());
  const others = await Promise.all(Array.from({ length: count - 1 }, () => connectRaw(context, url)));
  assert.equal(await rawClient(context, url).next(), null);

  const requests = 20_000;
  let answered = 0;
  const done = Promise.withResolvers<undefined>();
  flood.on('data', (data) => {
    for (const byte of data) if (byte === 0x0a) answered += 1;
    if (answered > requests) done.resolve(undefined);
  });
  flood.write(
    `{"connect":{"version":"0.9.2","subscribe_notifications":false}}\n${'{"request":"list"}\n'.repeat(requests)}`,
  );
  for (const other of others) other.send({ request: 'ident' });
  for (const answer of await Promise.all(others.map((other) => other.next()))) assert.deepEqual(answer, ident);
  assert.ok(answered < requests / 2, `${answered} of ${requests} were answered before the others`);
  await done.promise;
});
