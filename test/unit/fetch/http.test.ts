import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createPlain } from 'node:http';
import { createServer } from 'node:https';
import { connect, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { defaultFetchSettings, type FetchSettings } from '../../../src/fetch/fetch-settings.ts';
import { createHttp } from '../../../src/fetch/http.ts';
import { openRemoteFile } from '../../../src/fetch/remote-file.ts';
import { fileServer } from '../../support/file-server.ts';

const { signal } = new AbortController();
const work = await mkdtemp(join(tmpdir(), 'northstate-http-'));
after(() => rm(work, { recursive: true }));

/** A certificate for 127.0.0.1 that is its own authority. */
function certificate(name: string): { readonly cert: string; readonly key: string } {
  const [cert, key] = [join(work, `${name}.pem`), join(work, `${name}.key`)];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  const made = spawnSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert]);
  assert.equal(made.status, 0, String(made.stderr));
  return { cert, key };
}

const server = certificate('server');
const client = certificate('client');

/** Listens for as long as `body` takes. */
async function listening(listener: Server, body: (port: number) => Promise<void>): Promise<void> {
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  try {
    await body((listener.address() as AddressInfo).port);
  } finally {
    listener.close();
    if ('closeAllConnections' in listener) (listener as ReturnType<typeof createPlain>).closeAllConnections();
  }
}

async function got(url: string, settings: Partial<FetchSettings>): Promise<string> {
  const http = createHttp({ ...defaultFetchSettings, ...settings }, { firstPause: 1 });
  try {
    return await text((await http.get(new URL(url), {}, signal)).body);
  } finally {
    http.close();
  }
}

test('a server is believed by the authority that the configuration names, and is shown a certificate', async () => {
  const tls = {
    cert: await readFile(server.cert),
    key: await readFile(server.key),
    ca: await readFile(client.cert),
    requestCert: true,
  };
  await listening(
    createServer({ ...tls, rejectUnauthorized: true }, (_, response) => response.end('hello')),
    async (port) => {
      const url = `https://127.0.0.1:${port}/`;
      assert.equal(await got(url, { ca: server.cert, ...client }), 'hello');
      await assert.rejects(got(url, { ...client }), /self-signed certificate/);
      await assert.rejects(got(url, { ca: server.cert }), /certificate required|socket hang up|ECONNRESET|EPIPE/);
      await assert.rejects(got(url, { ca: join(work, 'none') }), /ENOENT.*none/);
    },
  );
});

test('a proxy is asked, for TLS with CONNECT, and not for what is reached without it', async () => {
  const asked: string[] = [];
  const proxy = createPlain((request, response) => {
    asked.push(request.url ?? '');
    response.end('from the proxy');
  });
  proxy.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url ?? ''}`);
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.destroy());
  });
  const tls = { cert: await readFile(server.cert), key: await readFile(server.key) };
  await listening(
    createServer(tls, (_, response) => response.end('through')),
    async (port) =>
      await listening(proxy, async (proxyPort) => {
        const through = { proxy: `http://127.0.0.1:${proxyPort}`, ca: server.cert };
        assert.equal(await got(`https://127.0.0.1:${port}/`, through), 'through');
        assert.equal(await got('http://nowhere.invalid/file', through), 'from the proxy');
        assert.equal(await got(`https://127.0.0.1:${port}/`, { ...through, noProxy: ['127.0.0.1'] }), 'through');
        assert.deepEqual(asked, [`CONNECT 127.0.0.1:${port}`, 'http://nowhere.invalid/file']);
      }),
  );
});

test('a redirect from https to http is not followed', async () => {
  const tls = { cert: await readFile(server.cert), key: await readFile(server.key) };
  await listening(
    createServer(tls, (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()),
    async (port) => {
      const url = `https://127.0.0.1:${port}/secret?token=1`;
      await assert.rejects(got(url, { ca: server.cert }), (error: Error) => {
        assert.match(error.message, /secret: a redirect from https: to http: is not followed/);
        assert.doesNotMatch(error.message, /token/);
        return true;
      });
    },
  );
});

test('the rate holds, and an end is not kept waiting by it', async () => {
  await using files = await fileServer({ file: Buffer.alloc(40_000) });
  const http = createHttp({ ...defaultFetchSettings, rate: 100_000 });
  const begin = performance.now();
  const remote = await openRemoteFile(http, files.url('file'), 40_000, signal);
  assert.equal(remote.tail.length, 40_000);
  assert.ok(performance.now() - begin >= 390, `${performance.now() - begin} ms for 0.4 s`);
  const ending = new AbortController();
  const waits = http.paid(1_000_000, ending.signal);
  ending.abort();
  await assert.rejects(waits, { name: 'AbortError' });
  http.close();
});

test('a server that is busy is asked again when it says', async () => {
  await using files = await fileServer({ file: Buffer.from('content') });
  let busy = true;
  files.misbehave = (_, response) => {
    if (!busy) return false;
    busy = false;
    response.writeHead(503, { 'retry-after': '1' }).end();
    return true;
  };
  const http = createHttp(defaultFetchSettings, { firstPause: 1 });
  const begin = performance.now();
  const told: (string | null)[] = [];
  const remote = await openRemoteFile(http, files.url('file'), 100, signal, (why) => void told.push(why));
  http.close();
  assert.equal(String(remote.tail), 'content');
  // Whoever looks meanwhile sees what was wrong and when it goes on.
  assert.match(told[0] ?? '', /file: the server answered 503 \(not available\) \(try 2 of 5 at 2\d{3}-.*Z\)$/);
  assert.match(told[1] ?? '', /503.* \(try 2 of 5 is under way\)$/);
  assert.deepEqual(told.slice(2), [null]);
  assert.ok(performance.now() - begin >= 990, `asked again after ${performance.now() - begin} ms`);
});
