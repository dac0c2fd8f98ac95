// A container holds up itself over its own console, whatever its permissions, and nobody else.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { defaultLimits } from '../../../../src/console/protocol/console-limits.ts';
import { createMemory } from '../../../../src/console/protocol/memory.ts';
import { socketChannel } from '../../../../src/console/server/channel.ts';
import { serveConnection } from '../../../../src/console/server/connection.ts';
import { openFeeds } from '../../../../src/console/server/feeds.ts';
import { fakeRuntime } from '../../../support/console/fake-runtime.ts';
import { scratchDirectory, silentLog, testTokens } from '../../../support/console/scratch.ts';

test('a container locks itself, by its own name or none, and no other', async (context) => {
  const runtime = fakeRuntime();
  const shared = { runtime, feeds: openFeeds(runtime), tokens: testTokens, patches: 'boot', log: silentLog } as const;
  const listener = { ...shared, limits: defaultLimits, now: () => 1001, hold: () => () => undefined };
  const path = join(await scratchDirectory(context), 'container');
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = { identity: 'broker:1.2.3', permissions: ['ident'], onlyNorthstar: true } as const;
    void serveConnection(socketChannel(socket, defaultLimits, createMemory(defaultLimits.memory)), peer, listener);
  }).listen(path);
  await once(server, 'listening');
  const socket = connect(path);
  context.after(() => {
    socket.destroy();
    server.close();
  });
  const lines = createInterface(socket)[Symbol.asyncIterator]();
  const ask = async (message: unknown): Promise<unknown> => {
    socket.write(`${JSON.stringify(message)}\n`);
    return (JSON.parse(((await lines.next()) as IteratorYieldResult<string>).value) as { response?: unknown }).response;
  };
  await ask({ connect: { version: '0.9.2', subscribe_notifications: false } });
  assert.deepEqual(await ask({ request: { lock: { ttl: 5000 } } }), { lock: { ok: { name: 'broker', ttl: 5000 } } });
  assert.deepEqual(await ask({ request: { unlock: {} } }), { unlock: { ok: { name: 'broker' } } });
  const other = JSON.stringify(await ask({ request: { lock: { ttl: 5000, name: 'idle' } } }));
  assert.match(other, /invalid_arguments|unknown_name/);
  const by = 'broker:1.2.3';
  assert.deepEqual(runtime.calls, [
    { lock: 'broker', ttl: 5000, by },
    { unlock: 'broker', by },
  ]);
});
