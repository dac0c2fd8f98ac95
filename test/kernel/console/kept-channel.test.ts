// A container's console whose server is killed again and again, at any instant: the client cannot tell.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createMemoryFile } from '../../../native/memfd.ts';
import { createSocketPair } from '../../../native/socket-pair.ts';
import { createKeptFile } from '../../../src/console/server/kept-file.ts';
import { createRandom } from '../../sim/random.ts';

const kills = 12;
/** Requests that are on their way at once, and how long some of them are. */
const ahead = 5;
const padding = ' '.repeat(3000);

test('every request is answered and every event told once and in order, every line is whole, wherever the server is killed', async () => {
  const { ours, theirs } = createSocketPair();
  const journal = createMemoryFile('journal');
  const permissions = ['ident', 'inspect', 'notifications'] as const;
  const file = createKeptFile({ identity: 'counter:1.0.0', permissions, listener: null });
  const client = new Socket({ fd: theirs });
  const random = createRandom(20_261_122);
  let asked = 0;
  let answered = 0;
  /** What is to be answered to what was asked, in this order. */
  const due: object[] = [];
  /** The number of the last event that was told. */
  let heard: number | null = null;
  let progress = Promise.withResolvers<undefined>();
  const end = { isNear: false };

  function ask(): void {
    asked += 1;
    const container = `x:0.0.${asked}`;
    // What changes nothing is answered before it is taken from the socket.
    const isQuick = random.chance(0.6);
    const error = { container, error: { invalid_container: { container } } };
    due.push({ response: isQuick ? { ident: 'counter:1.0.0' } : { inspect: { error } } });
    const line = isQuick ? '{"request":"ident"}' : `{"request":{"inspect":{"container":"${container}"}}}`;
    const request = `${line}${random.chance(0.2) ? padding : ''}\n`;
    // In two pieces at any place, as a stream may come.
    const cut = random.between(0, request.length);
    client.write(request.slice(0, cut));
    client.write(request.slice(cut));
  }

  const conversation = (async () => {
    client.write('{"connect":{"version":"0.9.2","subscribe_notifications":true}}\n');
    for (let count = 0; count < ahead; count += 1) ask();
    let greeted = false;
    for await (const line of createInterface({ input: client })) {
      const message = JSON.parse(line) as { connect_ack?: null; notification?: object; response?: object };
      if (message.notification !== undefined) {
        assert.ok(greeted);
        const { started } = message.notification as { readonly started: string };
        const number = Number(started.slice('tick:0.0.'.length));
        assert.equal(number, (heard ?? number - 1) + 1, 'an event was missed, or told twice');
        heard = number;
        continue;
      }
      if (!greeted) {
        assert.deepEqual(message, { connect_ack: null });
        greeted = true;
        continue;
      }
      answered += 1;
      assert.deepEqual(message, due.shift());
      progress.resolve(undefined);
      if (!end.isNear) ask();
      else if (answered === asked) return;
    }
    throw new Error('the console hung up');
  })();

  async function untilAnswered(): Promise<void> {
    progress = Promise.withResolvers();
    await Promise.race([progress.promise, conversation]);
  }

  try {
    for (let count = 0; count <= kills; count += 1) {
      const { server, ended } = serve(ours, file.fd, journal);
      await untilAnswered();
      end.isNear = count === kills;
      if (end.isNear) await conversation;
      else await delay(random.between(0, 8));
      server.kill('SIGKILL');
      await ended;
    }
  } finally {
    client.destroy();
    for (const fd of [ours, file.fd, journal]) closeSync(fd);
  }
  assert.ok(answered > kills * ahead, `${answered} answers`);
});

test('what a client does not read waits for it, also in the next server, and is bounded', async () => {
  const { ours, theirs } = createSocketPair();
  const journal = createMemoryFile('journal');
  const file = createKeptFile({ identity: 'slow:1.0.0', permissions: ['inspect'], listener: null });
  const client = new Socket({ fd: theirs });
  const count = 4000; // answers of more bytes than the socket has room for
  const requests = Array.from(
    { length: count },
    (_, index) => `{"request":{"inspect":{"container":"x:0.0.${index}"}}}\n`,
  );
  const first = serve(ours, file.fd, journal);
  try {
    client.write(`{"connect":{"version":"0.9.2","subscribe_notifications":false}}\n${requests.join('')}`);
    await once(client, 'readable');
    first.server.kill('SIGKILL');
    await first.ended;
    const second = serve(ours, file.fd, journal);
    let heard = -1; // the greeting
    for await (const line of createInterface({ input: client })) {
      if (heard >= 0) assert.match(line, new RegExp(`"x:0\\.0\\.${heard}"`));
      heard += 1;
      if (heard === count) break;
    }
    second.server.kill('SIGKILL');
    await second.ended;
    assert.ok(statSync(`/proc/self/fd/${file.fd}`).blocks * 512 < 512 * 1024, 'memory is given back');
  } finally {
    client.destroy();
    for (const fd of [ours, file.fd, journal]) closeSync(fd);
  }
});

test('an installation that loses its server is answered with an error when its bytes have come, and the next request is read', async () => {
  const { ours, theirs } = createSocketPair();
  const journal = createMemoryFile('journal');
  const file = createKeptFile({ identity: 'updater:1.0.0', permissions: ['ident', 'install'], listener: null });
  const client = new Socket({ fd: theirs });
  const lines = createInterface({ input: client })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => JSON.parse((await lines.next()).value as string);
  const half = Buffer.alloc(600_000, '{"request":"list"}\n'); // more than the socket has room for, and no package
  const first = serve(ours, file.fd, journal);
  try {
    client.write('{"connect":{"version":"0.9.2","subscribe_notifications":false}}\n');
    assert.deepEqual(await next(), { connect_ack: null });
    client.write(`{"request":{"install":{"repository":"system","size":${2 * half.length}}}}\n`);
    await new Promise((resolve) => client.write(half, resolve));
    first.server.kill('SIGKILL');
    await first.ended;
    const second = serve(ours, file.fd, journal);
    // It has nothing to read again and again, in every moment.
    const piece = half.length / 2000;
    for (let sent = 0; sent < half.length; sent += piece)
      await new Promise((resolve) => client.write(half.subarray(sent, sent + piece), resolve));
    client.write('{"request":"ident"}\n');
    const answer = (await next()) as { response: { install: { error: { error: { unexpected: { error: string } } } } } };
    assert.match(answer.response.install.error.error.unexpected.error, /started anew during the installation/);
    assert.deepEqual(await next(), { response: { ident: 'updater:1.0.0' } });
    second.server.kill('SIGKILL');
    await second.ended;
  } finally {
    client.destroy();
    for (const fd of [ours, file.fd, journal]) closeSync(fd);
  }
});

function serve(socket: number, file: number, journal: number): { server: ChildProcess; ended: Promise<unknown> } {
  const program = join(import.meta.dirname, 'kept-server.ts');
  const stdio: StdioOptions = ['ignore', 'inherit', 'inherit', socket, file, journal];
  const server = spawn(process.execPath, ['--no-warnings', program], { stdio });
  return { server, ended: once(server, 'exit') };
}
