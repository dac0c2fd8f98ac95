import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { FetchProgress } from '../../../controllers/repositories/repository.ts';
import { FetchError } from '../../../src/fetch/fetch-error.ts';
import { openFetch } from '../../../src/fetch/fetch-package.ts';
import { defaultFetchSettings } from '../../../src/fetch/fetch-settings.ts';
import { createHttp } from '../../../src/fetch/http.ts';
import { fileServer, type FileServer } from '../../support/file-server.ts';
import { bulk, probePackage, type ProbePackage } from '../../support/packages.ts';

const { signal } = new AbortController();
const work = await mkdtemp(join(tmpdir(), 'northstate-fetch-'));
after(() => rm(work, { recursive: true }));

/** Some MB that do not compress, with a stretch at the end that differs from one version to the next. */
const data = (version: string): string => bulk(4_000_000) + bulk(70_000).replaceAll('0', version);
const made = (fields: Omit<ProbePackage, 'name'>): Promise<string> => probePackage({ name: 'fetched', ...fields });
const old = await made({ version: '1.0.0', key: 'fetch', files: { data: data('1') } });
const fresh = await made({ version: '2.0.0', key: 'fetch', files: { data: data('2') } });
const unsigned = await made({ version: '3.0.0', files: { data: data('3') } });
const [freshBytes, unsignedBytes] = await Promise.all([readFile(fresh), readFile(unsigned)]);

interface Attempt {
  readonly file: string;
  readonly donors?: readonly string[];
  readonly earlier?: FetchProgress | null;
  readonly keep?: (progress: FetchProgress) => Promise<void>;
  readonly stall?: number;
}

async function fetchInto(server: FileServer, name: string, attempt: Attempt): Promise<readonly string[]> {
  const { file, donors = [], earlier = null, keep = async () => undefined, stall = 30_000 } = attempt;
  const skipped: string[] = [];
  const http = createHttp({ ...defaultFetchSettings, stall }, { firstPause: 10 });
  try {
    const options = { donors, signal, skipped: (message: string) => void skipped.push(message) };
    const remote = await openFetch(http, server.url(name), options);
    await using handle = await open(file, 'a+').then(async (made) => {
      await made.close();
      return await open(file, 'r+');
    });
    try {
      await remote.into(handle, earlier, keep);
    } finally {
      await remote.close();
    }
  } finally {
    http.close();
  }
  return skipped;
}

/** Answers with the first bytes of the range that was asked for, and breaks off. */
function sendPart(bytes: Buffer, headers: IncomingHttpHeaders, response: ServerResponse, length: number): void {
  const [from = 0, to = 0] = (headers.range ?? '').replace('bytes=', '').split('-').map(Number);
  response.writeHead(206, {
    'content-range': `bytes ${from}-${to}/${bytes.length}`,
    'content-length': to - from + 1,
    etag: String(headers['if-range']),
  });
  response.write(bytes.subarray(from, Math.min(to + 1, from + length)), () => response.destroy());
}

let files = 0;
const scratch = (): string => join(work, String((files += 1)));

test('only the blocks that no installed package has are fetched, and the result is the package', async () => {
  await using server = await fileServer({ 'a.npk': freshBytes });
  const file = scratch();
  assert.deepEqual(await fetchInto(server, 'a.npk', { file, donors: [old] }), []);
  assert.deepEqual(await readFile(file), freshBytes);
  assert.ok(server.sent < freshBytes.length / 4, `${server.sent} of ${freshBytes.length} bytes`);
});

test('where nothing is found in common no more comes than the package, and that is what was said', async () => {
  await using server = await fileServer({ 'a.npk': freshBytes });
  const file = scratch();
  const http = createHttp(defaultFetchSettings);
  const skipped = (message: string): never => {
    throw new Error(message);
  };
  const remote = await openFetch(http, server.url('a.npk'), { donors: [], signal, skipped });
  await using handle = await open(file, 'w+');
  const said = await remote.estimate();
  await remote.into(handle, null, async () => undefined);
  await remote.close();
  http.close();
  assert.deepEqual(await readFile(file), freshBytes);
  assert.equal(server.sent, said);
  assert.ok(said <= freshBytes.length * 1.002, `${said} of ${freshBytes.length} bytes`);
});

test('a donor of another name is hashed with the new salt', async () => {
  const stranger = await probePackage({ name: 'stranger', key: 'fetch', files: { data: data('1') } });
  await using server = await fileServer({ 'a.npk': freshBytes });
  const file = scratch();
  await fetchInto(server, 'a.npk', { file, donors: [stranger] });
  assert.deepEqual(await readFile(file), freshBytes);
  assert.ok(server.sent < freshBytes.length / 4, `${server.sent} of ${freshBytes.length} bytes`);
});

test('a donor whose bytes are not what its tree says costs its blocks, and no more', async () => {
  const bytes = await readFile(old);
  randomBytes(200_000).copy(bytes, 1_000_000);
  const spoilt = scratch();
  await writeFile(spoilt, bytes);
  await using server = await fileServer({ 'a.npk': freshBytes });
  const file = scratch();
  await fetchInto(server, 'a.npk', { file, donors: [spoilt, join(work, 'none')] });
  assert.deepEqual(await readFile(file), freshBytes);
});

test('what an earlier attempt has left is not fetched again', async () => {
  await using server = await fileServer({ 'a.npk': freshBytes });
  const file = scratch();
  let answers = 0;
  server.misbehave = ({ headers }, response) => {
    answers += 1;
    if (answers < 3) return false;
    if (answers === 3) sendPart(freshBytes, headers, response, 1_000_000);
    else response.destroy();
    return true;
  };
  await assert.rejects(fetchInto(server, 'a.npk', { file }), FetchError);
  server.misbehave = null;
  const before = server.sent;
  await fetchInto(server, 'a.npk', { file });
  assert.deepEqual(await readFile(file), freshBytes);
  assert.ok(server.sent - before < freshBytes.length - 500_000, `${server.sent - before} bytes more`);
});

test('an unsigned package is fetched from its start, and goes on from what is on the disk', async () => {
  await using server = await fileServer({ 'b.npk': unsignedBytes });
  const file = scratch();
  await fetchInto(server, 'b.npk', { file, donors: [old] });
  assert.deepEqual(await readFile(file), unsignedBytes);
  assert.ok(server.sent <= unsignedBytes.length * 1.01, `${server.sent} of ${unsignedBytes.length}`);

  const { validator } = await progressOf(server);
  const synced = unsignedBytes.length - 1_000_000;
  const half = scratch();
  await writeFile(half, unsignedBytes.subarray(0, synced + 5000));
  const before = server.sent;
  await fetchInto(server, 'b.npk', { file: half, earlier: { validator, size: unsignedBytes.length, synced } });
  assert.deepEqual(await readFile(half), unsignedBytes);
  assert.ok(server.sent - before <= 1_000_000 + 200_000, `${server.sent - before} bytes`);

  const other = scratch();
  await writeFile(other, randomBytes(synced));
  await fetchInto(server, 'b.npk', { file: other, earlier: { validator: '"x"', size: unsignedBytes.length, synced } });
  assert.deepEqual(await readFile(other), unsignedBytes, 'the note of another file is not believed');
});

async function progressOf(server: FileServer): Promise<{ readonly validator: string }> {
  const { headers } = await fetch(server.url('b.npk'), { method: 'GET', headers: { range: 'bytes=0-0' } });
  return { validator: headers.get('etag') ?? '' };
}

test('a server without ranges is read from the start', async () => {
  await using server = await fileServer({ 'a.npk': freshBytes });
  server.misbehave = (request, response) => {
    delete request.headers.range;
    return response.destroyed;
  };
  const file = scratch();
  await fetchInto(server, 'a.npk', { file, donors: [old] });
  assert.deepEqual(await readFile(file), freshBytes);
  assert.equal(server.asked.length, 1);
});

test('a server that lies, changes, stalls or answers nonsense is told apart, and nothing of it is believed', async (t) => {
  await using server = await fileServer({ 'a.npk': freshBytes });
  const refused = async (name: string, expected: RegExp, misbehave: FileServer['misbehave'], stall?: number) =>
    await t.test(name, async () => {
      server.misbehave = misbehave;
      const attempt = { file: scratch(), ...(stall !== undefined && { stall }) };
      await assert.rejects(fetchInto(server, 'a.npk', attempt), (error) => {
        assert.ok(error instanceof FetchError, String(error));
        assert.match(error.message, expected);
        return true;
      });
    });

  await refused('other bytes', /block \d+ of the image is not the one/, ({ headers }, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    if (from === undefined || Number(from) === 0) return false;
    const body = randomBytes(Number(to) - Number(from) + 1);
    response.writeHead(206, {
      'content-range': `bytes ${from}-${to}/${freshBytes.length}`,
      etag: String(response.req.headers['if-range']),
    });
    response.end(body);
    return true;
  });
  await refused('another file meanwhile', /changed while it was fetched/, ({ headers }, response) => {
    if (headers['if-range'] === undefined) return false;
    response.writeHead(206, { 'content-range': 'bytes 0-9/10', etag: '"new"' }).end('0123456789');
    return true;
  });
  await refused('no length', /does not say how long/, (_, response) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' });
    response.write('x');
    return true;
  });
  await refused('a part of nothing', /does not say of what/, (_, response) => {
    response.writeHead(206, { 'content-length': 3 }).end('abc');
    return true;
  });
  await refused('redirects in a circle', /more than 5 redirects/, ({ url }, response) => {
    response.writeHead(302, { location: url }).end();
    return true;
  });
  await refused('not there', /404 \(not found\)/, (_, response) => {
    response.writeHead(404).end();
    return true;
  });
  await refused('a pause of a day', /429 \(too many requests\)/, (_, response) => {
    response.writeHead(429, { 'retry-after': '86400' }).end();
    return true;
  });
  await refused('encoded', /sends it as gzip/, (_, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': 3 }).end('abc');
    return true;
  });
  await refused('nothing ever', /nothing came for 0.1 s/, () => true, 100);
});

test('an answer that never ends is read as far as was asked for', async () => {
  await using server = await fileServer({ 'a.npk': freshBytes });
  server.misbehave = ({ headers }, response) => {
    const [, from = '', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    if (from === '') return false;
    response.writeHead(206, {
      'content-range': `bytes ${from}-${to}/${freshBytes.length}`,
      etag: String(headers['if-range']),
    });
    response.write(freshBytes.subarray(Number(from), Number(to) + 1));
    const more = setInterval(() => response.write(Buffer.alloc(1000)), 1);
    response.on('close', () => clearInterval(more));
    return true;
  };
  const file = scratch();
  await fetchInto(server, 'a.npk', { file });
  assert.deepEqual(await readFile(file), freshBytes);
});

test('a connection that breaks is opened again where it broke', async () => {
  await using server = await fileServer({ 'b.npk': unsignedBytes });
  let broken = 0;
  server.misbehave = ({ headers }, response) => {
    if (broken >= 3 || headers['if-range'] === undefined) return false;
    broken += 1;
    sendPart(unsignedBytes, headers, response, 500_000);
    return true;
  };
  const file = scratch();
  await fetchInto(server, 'b.npk', { file });
  assert.deepEqual(await readFile(file), unsignedBytes);
  assert.equal(broken, 3);
});
