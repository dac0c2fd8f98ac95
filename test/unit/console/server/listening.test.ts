// Who reaches a console, and as what: a process by its user and group, a machine by its certificate.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { connect as connectClient } from '../../../../src/client/northstate.ts';
import { openConsole } from '../../../../src/console/server/server.ts';
import { northstate } from '../../cli/command-line.ts';
import { freePort } from '../../../support/free-port.ts';
import { fakeRuntime } from '../../../support/console/fake-runtime.ts';
import { openTestConsole, scratchDirectory, silentLog, testTokens } from '../../../support/console/scratch.ts';

const hello = '{"connect":{"version":"0.9.2","subscribe_notifications":false}}\n';

/** What a request is answered with on a connection. */
async function ask(context: TestContext, socket: Socket, request: unknown): Promise<unknown> {
  context.after(() => void socket.destroy());
  socket.write(`${hello}${JSON.stringify({ request })}\n`);
  const lines: unknown[] = [];
  for await (const line of createInterface({ input: socket })) {
    lines.push(JSON.parse(line));
    if (lines.length === 2) return lines[1];
  }
  return null;
}

/** The same for a process of another user. */
async function askAs(ids: { uid: number; gid: number }, path: string, request: unknown): Promise<unknown> {
  const message = JSON.stringify(`${hello}${JSON.stringify({ request })}\n`);
  const program = `const socket = require('net').connect(${JSON.stringify(path)}, () => socket.write(${message}));
    require('readline').createInterface({ input: socket }).on('line', (line) => {
      if (line.includes('connect_ack')) return;
      console.log(line);
      process.exit();
    });`;
  const child = spawn(process.execPath, ['-e', program], { ...ids, cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const said = Buffer.concat((await child.stdout.toArray()) as Buffer[]).toString();
  assert.notEqual(said, '', `no answer; the client's exit code and signal: ${String(await closed)}`);
  return JSON.parse(said);
}

const ident = { response: { ident: 'extern:0.0.0' } };
const denied = (request: string) => ({ response: { permission_denied: request } });

test('a process may do what the first rule for its user and group gives it, and else what everybody may', async (context) => {
  const directory = await scratchDirectory(context);
  chmodSync(directory, 0o755);
  const path = join(directory, 'console');
  await openTestConsole(context, fakeRuntime(), {
    listen: `unix://${path}`,
    file: { mode: 0o666, uid: 7, gid: 8 },
    permissions: ['repositories'],
    peers: [
      { uid: 1234, gid: 99, permissions: ['list'] },
      { uid: 1234, permissions: ['ident'] },
      { gid: 1300, permissions: 'full' },
    ],
  });
  const { mode, uid, gid } = statSync(path);
  assert.deepEqual([mode & 0o777, uid, gid], [0o666, 7, 8]);
  assert.deepEqual(await askAs({ uid: 1234, gid: 1300 }, path, 'ident'), ident);
  assert.deepEqual(await askAs({ uid: 1234, gid: 1300 }, path, 'list'), denied('list'));
  assert.deepEqual(await askAs({ uid: 1235, gid: 1300 }, path, 'ident'), ident);
  assert.deepEqual(await askAs({ uid: 1235, gid: 1301 }, path, 'ident'), denied('ident'));
  assert.deepEqual(await askAs({ uid: 1235, gid: 1301 }, path, 'repositories'), {
    response: { repositories: ['system'] },
  });
});

test('a TCP listener on the loopback serves whoever is on the machine', async (context) => {
  const port = await freePort();
  await openTestConsole(context, fakeRuntime(), { listen: `tcp://localhost:${port}`, permissions: ['ident'] });
  assert.deepEqual(await ask(context, connect(port, 'localhost'), 'ident'), ident);
});

test('a TCP listener that other machines reach asks for a certificate, and is refused without one', async (context) => {
  const options = {
    patches: 'boot',
    runtime: fakeRuntime(),
    tokens: testTokens,
    log: silentLog,
    now: () => 0,
  } as const;
  const open = { ...options, listen: 'tcp://0.0.0.0:0', permissions: 'full' } as const;
  await assert.rejects(
    openConsole(open),
    /other machines could reach it: listen at 127\.0\.0\.1, or ask for client cert/,
  );

  const pki = await certificates(context);
  const port = await freePort();
  await openTestConsole(context, fakeRuntime({ packages: [broker] }), {
    listen: `tcp://0.0.0.0:${port}`,
    tls: { cert: pki('server.pem'), key: pki('server.key'), ca: pki('ca.pem') },
  });
  const present = (name: string) =>
    connectTls({ port, ca: readFileSync(pki('ca.pem')), servername: 'northstate', ...credentials(pki, name) });
  assert.deepEqual(await ask(context, present('client'), 'ident'), ident);
  const files = ['--tls-ca', pki('ca.pem'), '--tls-cert', pki('client.pem'), '--tls-key', pki('client.key')];
  const named = ['-u', `tls://127.0.0.1:${port}`, ...files, '--tls-name', 'northstate'];
  assert.equal((await northstate(context, '', [...named, 'ident'])).stdout, 'extern:0.0.0\n');
  // A session is carried as over a unix socket: input to its end, and what comes of it.
  const pem = (name: string) => readFileSync(pki(name));
  const tls = { ca: pem('ca.pem'), cert: pem('client.pem'), key: pem('client.key'), servername: 'northstate' };
  await using remote = await connectClient({ url: `tls://127.0.0.1:${port}`, tls, reconnect: false });
  const session = await remote.exec('broker', ['/bin/cat'], { input: true });
  const bytes = Buffer.alloc(1_000_000, 'a line over TLS\n');
  const carried = Array.fromAsync(session.output(), ({ data }) => data);
  await session.write(bytes);
  await session.end();
  assert.ok(Buffer.concat(await carried).equals(bytes));
  assert.deepEqual((await session.ended).exit, { code: 0 });
  session.close();
  for (const name of ['stranger', 'nobody']) {
    const socket = present(name);
    const said = socket.toArray().catch(() => []);
    socket.write(hello);
    assert.deepEqual(await said, [], name);
  }
  // Another's plain connection is not served either, and disturbs nobody.
  const plain = connect(port, '127.0.0.1');
  plain.on('error', () => undefined).end(hello);
  await once(plain, 'close');
  assert.deepEqual(await ask(context, present('client'), 'ident'), ident);
});

test('who shows no certificate holds no connection: neither one that hangs up, nor one that is silent, nor at the end', async (context) => {
  const pki = await certificates(context);
  const port = await freePort();
  const console = await openConsole({
    listen: `tcp://127.0.0.1:${port}`,
    permissions: 'full',
    patches: 'boot',
    runtime: fakeRuntime(),
    tokens: testTokens,
    log: silentLog,
    now: () => 0,
    tls: { cert: pki('server.pem'), key: pki('server.key'), ca: pki('ca.pem') },
    limits: { connections: 3, connectTimeout: 300 },
  });
  const plain = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };
  for (let round = 0; round < 6; round++) {
    const socket = await plain();
    socket.end().resume();
    await once(socket, 'close');
  }
  const silent = await plain();
  silent.resume();
  await once(silent, 'close');
  const present = { port, ca: readFileSync(pki('ca.pem')), servername: 'northstate', ...credentials(pki, 'client') };
  assert.deepEqual(await ask(context, connectTls(present), 'ident'), ident);
  const last = await plain();
  last.resume();
  await Promise.all([console.close(), once(last, 'close')]);
});

function credentials(pki: (name: string) => string, name: string): object {
  if (name === 'nobody') return {};
  return { cert: readFileSync(pki(`${name}.pem`)), key: readFileSync(pki(`${name}.key`)) };
}

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };

/** An authority, a server and a client of it, and a stranger that another has signed. */
async function certificates(context: TestContext): Promise<(name: string) => string> {
  const directory = await scratchDirectory(context);
  const path = (name: string) => join(directory, name);
  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const make = (name: string, ...more: string[]): void =>
    openssl(
      'req',
      '-x509',
      ...key,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      path(`${name}.key`),
      '-out',
      path(`${name}.pem`),
      ...more,
    );
  make('ca');
  make('other');
  const signed = (by: string, name: string) =>
    make(
      name,
      '-CA',
      path(`${by}.pem`),
      '-CAkey',
      path(`${by}.key`),
      '-addext',
      'subjectAltName=DNS:northstate',
      '-addext',
      'basicConstraints=CA:FALSE',
    );
  signed('ca', 'server');
  signed('ca', 'client');
  signed('other', 'stranger');
  return path;
}
