import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createReader, ReadError, socketSource } from '../../../../src/console/server/reader.ts';
import { scratchDirectory } from '../../../support/console/scratch.ts';
import { wholeOf } from '../../../support/pieces.ts';

const boundless = { hold: () => true };

test('lines come one by one, however the bytes are cut', async (context) => {
  const [client, socket] = await socketPair(context);
  const reader = createReader(socketSource(socket), 100, boundless);
  for (const part of ['on', 'e\r\ntw', 'o\n\nünï', '\n']) client.write(part);
  client.end('rest');
  const lines = [
    await reader.line(),
    await reader.line(),
    await reader.line(),
    await reader.line(),
    await reader.line(),
  ];
  assert.deepEqual(lines, ['one', 'two', '', 'ünï', null]);
});

test('a line of exactly the limit is read, a longer one is an error before it ends', async (context) => {
  const [client, socket] = await socketPair(context);
  const reader = createReader(socketSource(socket), 8, boundless);
  client.write('12345678\n123456789');
  assert.equal(await reader.line(), '12345678');
  await assert.rejects(reader.line(), ReadError);
});

test('a line that is no UTF-8 is an error', async (context) => {
  const [client, socket] = await socketPair(context);
  client.write(Buffer.from([0x22, 0xc3, 0x28, 0x22, 0x0a]));
  await assert.rejects(createReader(socketSource(socket), 100, boundless).line(), /not UTF-8/);
});

test('raw bytes begin in the middle of what was read, and lines go on after them', async (context) => {
  const [client, socket] = await socketPair(context);
  const reader = createReader(socketSource(socket), 100, boundless);
  client.write('install\nabcdefnext\n');
  assert.equal(await reader.line(), 'install');
  const { pieces } = reader.bytes(6, 1000);
  assert.equal((await wholeOf(pieces)).toString(), 'abcdef');
  assert.equal(await reader.line(), 'next');
});

test('raw bytes that nobody wants are skipped', async (context) => {
  const [client, socket] = await socketPair(context);
  const reader = createReader(socketSource(socket), 100, boundless);
  client.write(`${'x'.repeat(200_000)}next\n`);
  await reader.bytes(200_000, 1000).skip();
  assert.equal(await reader.line(), 'next');
});

test('no more is taken from a client than is asked for', async (context) => {
  const [client, socket] = await socketPair(context);
  const reader = createReader(socketSource(socket), 100, boundless);
  client.write('first\n');
  client.write(Buffer.alloc(8 * 1024 * 1024, 0x78));
  assert.equal(await reader.line(), 'first');
  const before = socket.bytesRead;
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(socket.bytesRead - before < 1024 * 1024, `${socket.bytesRead} bytes are read`);
});

test('a client that stalls within raw bytes ends them with an error', async (context) => {
  const [client, socket] = await socketPair(context);
  const reader = createReader(socketSource(socket), 100, boundless);
  client.write('abc');
  const { pieces } = reader.bytes(6, 20);
  await assert.rejects(wholeOf(pieces), /sent nothing for too long/);
});

test('a client that hangs up within raw bytes ends them with an error', async (context) => {
  const [client, socket] = await socketPair(context);
  const stretch = createReader(socketSource(socket), 100, boundless).bytes(6, 1000);
  client.end('abc');
  await assert.rejects(wholeOf(stretch.pieces), /3 bytes before the end/);
  await assert.rejects(stretch.skip(), /3 bytes before the end/);
});

/** A client's socket and the server's end of it. */
async function socketPair(context: TestContext): Promise<[Socket, Socket]> {
  const path = join(await scratchDirectory(context), 'socket');
  const server = createServer({ allowHalfOpen: true }).listen(path);
  await once(server, 'listening');
  const client = createConnection(path);
  const [socket] = (await once(server, 'connection')) as [Socket];
  context.after(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  return [client, socket];
}
