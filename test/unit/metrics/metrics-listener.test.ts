// Scrapers that mean no good: they hold no place, and take no more of the processor than others.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { duplicate } from '../../../native/unix-socket.ts';
import type { ListenerKeeper } from '../../../src/console/server/entrance.ts';
import { openMetricsListener, type MetricsListener } from '../../../src/metrics/metrics-listener.ts';
import { silentLog } from '../../support/console/scratch.ts';
import { freePort } from '../../support/free-port.ts';

const patience = 300;

interface Listening {
  readonly port: number;
  readonly made: () => number;
  readonly serving: MetricsListener;
}

interface ListenerOptions {
  readonly body?: string;
  readonly port?: number;
  readonly keeper?: ListenerKeeper;
}

const none: ListenerKeeper = { kept: new Map(), keep: () => Promise.resolve() };

/** A listener whose text says how often it was made. */
async function listener(context: TestContext, options: ListenerOptions = {}): Promise<Listening> {
  const { body = '', port = await freePort(), keeper = none } = options;
  let made = 0;
  const serving = await openMetricsListener({
    at: { listen: `tcp://127.0.0.1:${port}`, file: { mode: 0o600, uid: 0, gid: 0 } },
    keeper,
    render: () => {
      made += 1;
      return Promise.resolve({ openmetrics: `made ${made}\n${body}`, prometheus: `made ${made}\n${body}` });
    },
    hold: () => () => undefined,
    log: silentLog,
    patience,
  });
  context.after(() => serving.close());
  return { port, made: () => made, serving };
}

async function opened(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function scrape(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  return await response.text();
}

test('who is silent, asks slowly or does not read gives its place back', async (context) => {
  const { port } = await listener(context, { body: 'x'.repeat(12_000_000) });
  const some = (count: number): Promise<Socket[]> => Promise.all(Array.from({ length: count }, () => opened(port)));
  const begin = performance.now();
  const all = await some(16);
  const ends = all.map((socket) => once(socket.resume(), 'close'));
  const drip = setInterval(() => all.slice(8).forEach((socket) => socket.write('G')), 20);
  context.after(() => clearInterval(drip));
  // A connection too many is closed at once.
  await once((await opened(port)).resume(), 'close');
  await Promise.all(ends);
  clearInterval(drip);
  assert.ok(performance.now() - begin >= patience - 50);
  const deaf = await some(16);
  for (const socket of deaf) socket.pause().write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n');
  let said: string | null = null;
  for (let tries = 0; tries < 100 && said === null; tries++)
    said = await scrape(port).catch(() => new Promise((resolve) => setTimeout(resolve, 50, null)));
  for (const socket of deaf) socket.destroy();
  assert.match(said ?? 'nobody is let in', /^made \d+\n/);
});

test('who asks without a pause is told the same for a while, and once for each connection', async (context) => {
  const { port, made } = await listener(context);
  const begin = performance.now();
  for (let asked = 0; asked < 100; asked++) assert.match(await scrape(port), /^made \d+\n$/);
  const most = Math.ceil((performance.now() - begin) / 200) + 1;
  assert.ok(made() <= most, `made ${made()} times, at most ${most} were due`);
  const socket = await opened(port);
  socket.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(1000));
  const said = await text(socket);
  assert.equal(said.match(/200 OK/g)?.length, 1);
});

test('who comes while nobody is accepted is answered by whoever has the socket next', async (context) => {
  const kept = new Map<string, number>();
  const port = await freePort();
  const keep = (name: string, fd: number): Promise<void> => {
    kept.set(name, duplicate(fd, name));
    return Promise.resolve();
  };
  const former = await listener(context, { body: 'former', port, keeper: { kept: new Map(), keep } });
  const listening = (): string => readlinkSync(`/proc/self/fd/${former.serving.descriptor}`);
  const socket = listening();
  const goOn = former.serving.rest();
  const waiting = await opened(port);
  waiting.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n');
  const next = await listener(context, { body: 'next', port, keeper: { kept, keep } });
  assert.match(await text(waiting), /made 1\nnext\r?\n/);
  assert.deepEqual([former.serving.unanswered(), former.made()], [0, 0]);
  await next.serving.close();
  goOn();
  assert.equal(listening(), socket);
  assert.equal(await scrape(port), 'made 1\nformer');
});
