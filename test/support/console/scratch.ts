// A console on a socket of its own, gone with the test.
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import pino from 'pino';
import type { Runtime } from '../../../src/runtime/runtime.ts';
import { openConsole, type ConsoleOptions } from '../../../src/console/server/server.ts';
import { createTokens } from '../../../src/console/server/tokens.ts';

export const silentLog = pino({ level: 'silent' });

export const testTokens = createTokens(Buffer.alloc(32), () => 1001);

/** A directory that is removed after the test. */
export async function scratchDirectory(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Opens a console for the test; gives its URL. */
export async function openTestConsole(
  context: TestContext,
  runtime: Runtime,
  options: Partial<ConsoleOptions> = {},
): Promise<string> {
  const listen = `unix://${await scratchDirectory(context)}/console`;
  const console = await openConsole({
    listen,
    permissions: 'full',
    patches: 'document',
    runtime,
    tokens: testTokens,
    log: silentLog,
    now: () => 1001,
    ...options,
  });
  context.after(() => console.close());
  return listen;
}

/** A client that only knows lines. */
export interface RawClient {
  readonly socket: Socket;
  send(message: unknown): void;
  /** The next message, null at the end of the connection. */
  next(): Promise<unknown>;
}

export function rawClient(context: TestContext, url: string): RawClient {
  const socket = createConnection(url.slice('unix://'.length));
  socket.on('error', () => undefined);
  context.after(() => void socket.destroy());
  // From now on, and not from the first question on: what has ended by then would never be told.
  const lines: AsyncIterator<string, undefined> = createInterface({ input: socket })[Symbol.asyncIterator]();
  return {
    socket,
    send: (message) => void socket.write(`${JSON.stringify(message)}\n`),
    async next() {
      const { done, value } = await lines.next();
      return done === true ? null : (JSON.parse(value) as unknown);
    },
  };
}

/** A raw client that has said hello. */
export async function connectRaw(context: TestContext, url: string, subscribe = false): Promise<RawClient> {
  const client = rawClient(context, url);
  client.send({ connect: { version: '0.9.2', subscribe_notifications: subscribe } });
  await client.next();
  return client;
}
