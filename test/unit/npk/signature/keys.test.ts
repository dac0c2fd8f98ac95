// Key files: raw and PEM, several at once, and what is no key.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hasSmallOrder, rawPublicKey, readKeys, readSecretKey } from '../../../../src/npk/signature/keys.ts';

let work = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-keys-'));
});
after(() => rm(work, { recursive: true }));

async function file(name: string, content: Buffer | string): Promise<string> {
  const path = join(work, name);
  await writeFile(path, content);
  return path;
}

const pair = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const pem = (key: KeyObject): string =>
  key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' }).toString();

test('a raw public key and the same as PEM are one key', async () => {
  const [raw] = await readKeys(await file('raw.pub', rawPublicKey(pair.publicKey)));
  const [text] = await readKeys(await file('pem.pub', pem(pair.publicKey)));
  assert.ok(raw !== undefined && text !== undefined);
  assert.ok(raw.key.equals(pair.publicKey));
  assert.equal(raw.id, text.id);
});

test('a PEM file holds several public keys, with text between them', async () => {
  const keys = await readKeys(await file('both.pub', `old\n${pem(pair.publicKey)}\nnew\n${pem(other.publicKey)}`));
  assert.deepEqual(
    keys.map(({ key }) => key.equals(pair.publicKey)),
    [true, false],
  );
});

test('a raw seed and a PEM file are the same secret key', async () => {
  const seed = pair.privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
  for (const path of [await file('raw.key', seed), await file('pem.key', pem(pair.privateKey))]) {
    assert.ok(createPublicKey(await readSecretKey(path)).equals(pair.publicKey));
  }
});

test('what is no key is refused with the name of the file', async () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const refused: [string, Buffer | string, RegExp][] = [
    ['short.pub', Buffer.alloc(31, 1), /short\.pub is no ed25519 key: expected 32 raw bytes or PEM, found 31 bytes/],
    ['secret.pub', pem(pair.privateKey), /it holds a private key, expected public keys only/],
    ['rsa.pub', pem(rsa.publicKey), /it is of type rsa, not ed25519/],
    ['long.pub', Buffer.alloc(65 * 1024), /it has 66560 bytes/],
    ['weak.pub', Buffer.alloc(32), /small order/],
  ];
  for (const [name, content, message] of refused) await assert.rejects(readKeys(await file(name, content)), message);
  await assert.rejects(readSecretKey(await file('public.key', pem(pair.publicKey))), /PRIVATE KEY/);
  await assert.rejects(readSecretKey(await file('rsa.key', pem(rsa.privateKey))), /it is of type rsa/);
});

test('points of small order are known in every spelling, and honest ones are none', () => {
  const p = 2n ** 255n - 19n;
  const encoded = (y: bigint): Buffer =>
    Buffer.from(Array.from({ length: 32 }, (_, i) => Number((y >> BigInt(8 * i)) & 255n)));
  for (const y of [0n, 1n, p - 1n, p, p + 1n]) {
    assert.ok(hasSmallOrder(encoded(y)));
    assert.ok(hasSmallOrder(encoded(y | (1n << 255n))));
  }
  assert.ok(!hasSmallOrder(rawPublicKey(pair.publicKey)));
});
