// Blocks that lie scattered, from servers that give several ranges in one answer, and from those that do not.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FetchError } from '../../../src/fetch/fetch-error.ts';
import { defaultFetchSettings } from '../../../src/fetch/fetch-settings.ts';
import { createHttp } from '../../../src/fetch/http.ts';
import { fetchMissing } from '../../../src/fetch/missing-blocks.ts';
import { openRemoteFile } from '../../../src/fetch/remote-file.ts';
import { wantedBlocks } from '../../../src/fetch/wanted-blocks.ts';
import { etagOf, fileServer, type FileServer } from '../../support/file-server.ts';

const { signal } = new AbortController();
const work = await mkdtemp(join(tmpdir(), 'northstate-ranges-'));
after(() => rm(work, { recursive: true }));

const block = 4096;
const count = 1500;
const head = randomBytes(1000);
const image = randomBytes(count * block);
const served = Buffer.concat([head, image]);
const salt = '00'.repeat(32);
const leaves = Buffer.concat(
  Array.from({ length: count }, (_, each) =>
    createHash('sha256')
      .update(Buffer.from(salt, 'hex'))
      .update(image.subarray(each * block, (each + 1) * block))
      .digest(),
  ),
);
/** Every tenth block is missing, and one stretch. */
const scattered = (each: number): boolean => each % 10 === 3 || (each >= 500 && each < 600);
const howMany = (isMissing: typeof scattered): number =>
  Array.from({ length: count }, (_, each) => each).filter(isMissing).length;
const missing = howMany(scattered);

let files = 0;

/** Gives what came to be in the file, the bytes of bodies, and the requests after the first. */
async function fetched(server: FileServer, isMissing = scattered) {
  const path = join(work, String((files += 1)));
  const start = Buffer.from(image);
  for (let each = 0; each < count; each++) if (isMissing(each)) start.fill(0, each * block, (each + 1) * block);
  await writeFile(path, Buffer.concat([head, start]));
  const wanted = wantedBlocks(leaves, salt);
  for (let each = 0; each < count; each++) if (!isMissing(each)) wanted.done(each);
  const http = createHttp({ ...defaultFetchSettings, stall: 10_000 }, { firstPause: 1 });
  try {
    const remote = await openRemoteFile(http, server.url('image'), 16, signal);
    await using file = await open(path, 'r+');
    await fetchMissing({ file, offset: head.length, wanted }, remote);
    return { bytes: await readFile(path), cost: remote.cost.bytes, asked: server.asked.slice(1) };
  } finally {
    http.close();
  }
}

const rangesIn = (asked: string): number => asked.split(',').length;

test('a server that gives several ranges is asked for a hundred at once, and nothing comes in vain', async () => {
  await using server = await fileServer({ image: served });
  const { bytes, cost, asked } = await fetched(server);
  assert.ok(bytes.equals(served));
  assert.ok(asked.length <= 5, `${asked.length} requests`);
  assert.ok(asked.every((each) => rangesIn(each) <= 100));
  assert.ok(cost < missing * block * 1.05, `${cost} bytes for ${missing} blocks`);
});

test('a long stretch among them comes once, and by itself', async () => {
  await using server = await fileServer({ image: served });
  const most = (each: number): boolean => each < 1300 || scattered(each);
  const { bytes, asked } = await fetched(server, most);
  assert.ok(bytes.equals(served));
  assert.ok(asked.some((each) => rangesIn(each) > 1));
  assert.ok(server.sent < howMany(most) * block * 1.02, `${server.sent} bytes for ${howMany(most)} blocks`);
});

test('one that sends the whole file instead is asked for one range after the other', async () => {
  await using server = await fileServer({ image: served }, { several: false });
  const { bytes, asked } = await fetched(server);
  assert.ok(bytes.equals(served));
  assert.equal(asked.filter((each) => rangesIn(each) > 1).length, 1, 'it is asked for several once');
});

const answer = (response: ServerResponse, body: Buffer | string, type = 'multipart/byteranges; boundary="B b"') => {
  response.writeHead(206, { 'content-type': type, etag: etagOf(served), 'content-length': body.length });
  response.end(body);
  return true;
};
const part = (from: number, to: number, size = served.length): Buffer =>
  Buffer.concat([
    Buffer.from(`\r\n--B b\r\nContent-Range: bytes ${from}-${to - 1}/${size}\r\n\r\n`),
    served.subarray(from, to),
  ]);
const end = Buffer.from('\r\n--B b--\r\n');

/** What the first request for several ranges is answered with; all others are answered as they should be. */
const odd: Readonly<Record<string, (response: ServerResponse, first: number, last: number) => boolean>> = {
  'the first range alone': (response, first) => {
    const body = served.subarray(first, first + block);
    response.writeHead(206, {
      'content-range': `bytes ${first}-${first + block - 1}/${served.length}`,
      etag: etagOf(served),
      'content-length': body.length,
    });
    response.end(body);
    return true;
  },
  'all of them joined to one part': (response, first, last) =>
    answer(response, Buffer.concat([part(first, last + 1), end])),
  'parts that begin and end within blocks, backwards': (response, first) => {
    const parts = [part(first + 10 * block + 7, first + 10 * block + 300), part(first + 100, first + block)];
    return answer(response, Buffer.concat([...parts, end]));
  },
  'a part that nobody has asked for': (response) => answer(response, Buffer.concat([part(0, 500), end])),
  'no part': (response) => answer(response, end),
  'nothing but noise': (response) => answer(response, randomBytes(100_000)),
  'fields without an end': (response) => answer(response, `\r\n--B b\r\n${'x: y\r\n'.repeat(10_000)}`),
  'a refusal': (response) => {
    response.writeHead(416).end();
    return true;
  },
  'an error that passes': (response) => {
    response.writeHead(503, { 'retry-after': '0' }).end();
    return true;
  },
  'half of a part': (response, first) => {
    response.writeHead(206, { 'content-type': 'multipart/byteranges; boundary="B b"', etag: etagOf(served) });
    response.write(part(first, first + block).subarray(0, 2000), () => response.destroy());
    return true;
  },
  'a body cut off before its end': (response, first) => answer(response, part(first, first + block)),
};

for (const [name, way] of Object.entries(odd))
  test(`an answer to several ranges: ${name}`, async () => {
    await using server = await fileServer({ image: served });
    let answered = false;
    server.misbehave = ({ headers }, response) => {
      const { range = '' } = headers;
      if (answered || rangesIn(range) === 1) return false;
      answered = true;
      const [first = 0, last = 0] = [range.split('=')[1], range.split('-').at(-1)].map((text) =>
        parseInt(text ?? '', 10),
      );
      return way(response, first, last);
    };
    const { bytes } = await fetched(server);
    assert.ok(answered);
    assert.ok(bytes.equals(served));
  });

test('one that never ends is read as far as it may be, and the rest is asked for', async () => {
  await using server = await fileServer({ image: served });
  let sent = 0;
  server.misbehave = ({ headers }, response) => {
    if (rangesIn(headers.range ?? '') === 1) return false;
    response.writeHead(206, { 'content-type': 'multipart/byteranges; boundary="B b"', etag: etagOf(served) });
    const timer = setInterval(() => {
      sent += block;
      response.write(part(0, block));
    }, 0);
    response.on('close', () => clearInterval(timer));
    return true;
  };
  assert.ok((await fetched(server)).bytes.equals(served));
  assert.ok(sent < image.length, `${sent} bytes`);
});

test('other bytes, and a file of another size, are told apart', async () => {
  await using server = await fileServer({ image: served });
  const refused = async (misbehave: FileServer['misbehave'], message: RegExp) => {
    server.misbehave = misbehave;
    await assert.rejects(fetched(server), (error) => error instanceof FetchError && message.test(error.message));
  };
  await refused(({ headers }, response) => {
    const first = parseInt((headers.range ?? '').split('=')[1] ?? '', 10);
    if (rangesIn(headers.range ?? '') === 1) return false;
    const lie = part(first, first + block);
    lie.fill(7, lie.length - block);
    return answer(response, Buffer.concat([lie, end]));
  }, /block 3 of the image is not the one/);
  await refused(({ headers }, response) => {
    if (rangesIn(headers.range ?? '') === 1) return false;
    return answer(response, Buffer.concat([part(0, 10, 77), end]));
  }, /changed while it was fetched/);
});
