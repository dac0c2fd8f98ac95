// Serves a kept console on the descriptors 3 (socket), 4 (file) and 5 (journal) until somebody kills it: a reconciler without the rest.
import pino from 'pino';
import { serveConnection } from '../../../src/console/server/connection.ts';
import { openFeeds } from '../../../src/console/server/feeds.ts';
import { keptChannel } from '../../../src/console/server/kept-channel.ts';
import { openKeptFile } from '../../../src/console/server/kept-file.ts';
import { createMemory } from '../../../src/console/protocol/memory.ts';
import { createTokens } from '../../../src/console/server/tokens.ts';
import { declareAsync } from '../../../native/libc.ts';
import { fakeRuntime } from '../../support/console/fake-runtime.ts';
import { defaultLimits } from '../../../src/console/protocol/console-limits.ts';

const socket = 3;
const POLLIN = 1;
const POLLOUT = 4;
const poll = declareAsync('poll', 'int', ['void *', 'uint64_t', 'int']);

async function ready(which: 'readable' | 'writable'): Promise<void> {
  const entry = Buffer.alloc(8);
  entry.writeInt32LE(socket, 0);
  entry.writeInt16LE(which === 'readable' ? POLLIN : POLLOUT, 4);
  await poll('the console', entry, 1, -1);
}

// Its journal is on descriptor 5: what happened before it was there is told, too.
const runtime = fakeRuntime({ events: 5 });
const limits = { ...defaultLimits, requestsPerSecond: 1e6, connectTimeout: Infinity };
const file = openKeptFile(4);
const channel = keptChannel({
  socket,
  file,
  limits,
  memory: createMemory(limits.memory),
  ready,
  ended: () => process.exit(0),
});
const { identity, permissions } = file.conversation;
void serveConnection(
  channel,
  { identity, permissions, onlyNorthstar: true },
  {
    runtime,
    feeds: openFeeds(runtime),
    tokens: createTokens(Buffer.alloc(32), () => 0),
    patches: 'boot',
    limits,
    log: pino({ level: 'silent' }),
    now: () => performance.now(),
    hold: () => () => undefined,
  },
);
setInterval(() => runtime.emit({ type: 'started', container: `tick:0.0.${runtime.pastEvents.last() + 1}` }), 1);
