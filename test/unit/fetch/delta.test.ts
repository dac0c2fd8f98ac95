import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import { headerLength, prefixSize, readHeader, writeHeader } from '../../../src/fetch/delta/delta-format.ts';
import { makeDelta } from '../../../src/fetch/delta/make-delta.ts';
import { openFetch } from '../../../src/fetch/fetch-package.ts';
import { defaultFetchSettings } from '../../../src/fetch/fetch-settings.ts';
import { createHttp } from '../../../src/fetch/http.ts';
import { pack } from '../../../src/npk/pack.ts';
import { fileServer, type FileServer } from '../../support/file-server.ts';
import { keyPair } from '../../support/packages.ts';

const { signal } = new AbortController();
const work = await mkdtemp(join(tmpdir(), 'northstate-delta-'));
after(() => rm(work, { recursive: true }));

/** Bytes that do not compress, the same each time. */
function noise(length: number): Buffer {
  const parts = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash('sha256').update(String(index)).digest(),
  );
  return Buffer.concat(parts).subarray(0, length);
}

/** A signed package with one file, whose image is not compressed. */
async function packed(version: string, data: Buffer): Promise<string> {
  const root = join(work, `root-${version}`);
  await mkdir(root);
  await writeFile(join(root, 'data'), data);
  const manifest = join(work, `${version}.yaml`);
  await writeFile(manifest, `name: app\nversion: ${version}\ninit: /data\nuid: 1000\ngid: 1000\n`);
  const { secret } = await keyPair('delta');
  return (await pack({ manifest, root, out: work, fs: 'erofs', key: secret, architecture: null })).path;
}

const data = noise(450_000);
// Ten bytes more at the front: every block is another one, and nearly nothing is new.
const [old, fresh] = [await packed('1.0.0', data), await packed('2.0.0', Buffer.concat([randomBytes(10), data]))];
const delta = await makeDelta(old, fresh, { out: work });
const [freshBytes, deltaBytes] = [await readFile(fresh), await readFile(delta.path)];

async function fetched(
  server: FileServer,
): Promise<{ readonly file: Buffer; readonly skipped: readonly string[]; readonly estimate: number }> {
  const path = join(work, 'fetched');
  const skipped: string[] = [];
  const http = createHttp(defaultFetchSettings, { firstPause: 1 });
  try {
    const options = { donors: [old], signal, skipped: (message: string) => void skipped.push(message) };
    const remote = await openFetch(http, server.url('app.npk'), options);
    const estimate = await remote.estimate();
    await using file = await open(path, 'w+');
    await remote.into(file, null, async () => undefined);
    await remote.close();
    return { file: await readFile(path), skipped, estimate };
  } finally {
    http.close();
    await rm(path, { force: true });
  }
}

test('what moved by ten bytes comes as a delta of a few kB', async () => {
  assert.ok(delta.size < 20_000, `${delta.size} bytes`);
  assert.equal(delta.size, deltaBytes.length);
  await using server = await fileServer({ 'app.npk': freshBytes, [basename(delta.path)]: deltaBytes });
  const { file, skipped, estimate } = await fetched(server);
  assert.deepEqual(file, freshBytes);
  assert.deepEqual(skipped, []);
  assert.ok(estimate < 190_000, `${estimate} bytes were said`);
  assert.ok(server.sent < 190_000, `${server.sent} of ${freshBytes.length}: the tree, the head and the delta`);
});

test('without a delta, and with one that is spoilt anywhere, the package is the same', async (t) => {
  const name = basename(delta.path);
  const length = headerLength(deltaBytes.subarray(0, prefixSize)) ?? 0;
  const headed = (change: (text: string) => string): Buffer => {
    const text = Buffer.from(change(deltaBytes.toString('latin1', prefixSize, prefixSize + length)));
    const prefix = Buffer.from(deltaBytes.subarray(0, prefixSize));
    prefix.writeUInt32LE(text.length, 8);
    return Buffer.concat([prefix, text, deltaBytes.subarray(prefixSize + length)]);
  };
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(deltaBytes);
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    return bytes;
  };
  const cases: Readonly<Record<string, Buffer | null>> = {
    none: null,
    empty: Buffer.alloc(0),
    'cut off': deltaBytes.subarray(0, deltaBytes.length - 100),
    'a header only': deltaBytes.subarray(0, prefixSize + length),
    'another magic': flipped(0),
    'a frame with a flipped bit': flipped(deltaBytes.length - 20),
    'a range outside of the old image': headed((text) => text.replace('[[0,', '[[99999999,')),
    'parts that do not cover it': headed((text) => text.replace(/"parts":\[\[.*?\],/, '"parts":[')),
    'a header that is no JSON': headed((text) => text.slice(1)),
    'another image': headed((text) => text.replace(/"new":"./, '"new":"_')),
  };
  for (const [what, bytes] of Object.entries(cases)) {
    await t.test(what, async () => {
      await using server = await fileServer({ 'app.npk': freshBytes, ...(bytes !== null && { [name]: bytes }) });
      assert.deepEqual((await fetched(server)).file, freshBytes);
    });
  }
});

test('a server that fails for a delta keeps neither the estimate nor the package', async () => {
  await using server = await fileServer({ 'app.npk': freshBytes });
  server.misbehave = ({ url }, response) => {
    if (url?.endsWith('.npkdelta') !== true) return false;
    response.writeHead(500).end();
    return true;
  };
  const { file, skipped, estimate } = await fetched(server);
  assert.deepEqual(file, freshBytes);
  assert.match(skipped.join(), /the server answered 500/);
  assert.ok(estimate > freshBytes.length / 2, `${estimate} bytes were said`);
});

test('a frame that would be larger than its part is not decoded to its end', async () => {
  const { constants, zstdCompressSync } = await import('node:zlib');
  const frame = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024), {
    params: { [constants.ZSTD_c_compressionLevel]: 3 },
  });
  const length = headerLength(deltaBytes.subarray(0, prefixSize)) ?? 0;
  const { header } = readHeader(deltaBytes.subarray(prefixSize, prefixSize + length)) ?? {};
  assert.ok(header !== undefined);
  const parts = header.parts.map(() => [0, 4096, frame.length] as [number, number, number]);
  const bomb = Buffer.concat([writeHeader({ ...header, parts }), ...parts.map(() => frame)]);
  await using server = await fileServer({ 'app.npk': freshBytes, [basename(delta.path)]: bomb });
  const { file, skipped } = await fetched(server);
  assert.deepEqual(file, freshBytes);
  assert.match(skipped.join(), /larger than|window|memory/i);
});

test('an unsigned package has no delta', async () => {
  const manifest = join(work, '1.0.0.yaml');
  const out = join(work, 'unsigned.npk');
  await pack({ manifest, root: join(work, 'root-1.0.0'), out, fs: 'erofs', architecture: null });
  await assert.rejects(makeDelta(out, fresh, { out: work }), /unsigned.npk: it is not signed/);
});
