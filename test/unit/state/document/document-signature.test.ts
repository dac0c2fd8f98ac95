// What of a document is signed, to the byte.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import test from 'node:test';
import {
  signatureOf,
  signedInside,
  signerOf,
  signInside,
  signText,
} from '../../../../state/document/document-signature.ts';
import { parseDocument } from '../../../../state/document/parse-document.ts';

const pair = (id: string) => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return { id, key: publicKey, secret: privateKey };
};
const [ours, next, other] = [pair('ours'), pair('next'), pair('other')];
const text = 'apiVersion: northstate/v1\nmetadata: { serial: 1 }\ncontainers:\n  one: {}\n...\n';

test('a signature beside is of every byte, by any of the keys', () => {
  const signature = signText(text, next.secret);
  assert.equal(signerOf(text, signature, [ours, next])?.id, 'next');
  assert.equal(signerOf(text, signature, [ours]), null);
  assert.equal(signerOf(text, null, [ours, next]), null);
  for (let at = 0; at < text.length; at++) {
    const changed = `${text.slice(0, at)}\u0001${text.slice(at + 1)}`;
    assert.equal(signerOf(changed, signature, [next]), null, `byte ${at}`);
  }
  assert.equal(signerOf(`\ufeff${text}`, signature, [next]), null);
  assert.equal(signerOf(`${text}\n`, signature, [next]), null);
});

test('a signature inside is of all that stands before it, which ends with the end mark, and nothing follows it', () => {
  const signed = signInside(text, ours.secret);
  assert.equal(signedInside(signed)?.signed, text);
  assert.equal(signerOf(signed, null, [other, ours])?.id, 'ours');
  assert.ok(parseDocument(signed).ok, 'the comment is none of the document');
  assert.equal(signInside(signed, ours.secret), signed, 'signing again changes nothing');
  const windows = text.replaceAll('\n', '\r\n');
  assert.equal(signerOf(signInside(windows, ours.secret), null, [ours])?.id, 'ours');
  const hostile = [
    `${signed}containers: {}\n`,
    `${signed}---\ncontainers: {}\n`,
    `${signed}\n`,
    signed.replace('...\n#', '#'),
    signed.replace('...\n#', '...\n\n#'),
    signed.replace('...\n#', '....\n#'),
    signed.replace('...\n#', ' ...\n#'),
    signed.replace('one: {}', 'two: {}'),
    signed.replace('...\n', '...\n# more\n'),
    signed.slice(0, -40),
    `a: 1\n${signed}`,
    signed + signed.slice(text.length),
  ];
  for (const each of hostile) assert.equal(signerOf(each, null, [ours]), null, each);
  assert.throws(() => signInside('apiVersion: northstate/v1\n', ours.secret), /end with a line/);
});

test('hostile signatures are none, and cost no time', () => {
  const good = signText(text, ours.secret);
  const bad = [
    '',
    '\n',
    good.slice(1),
    `${good}x`,
    ` ${good}`,
    good.replace('==', '=A'),
    'A'.repeat(88),
    `${good}\n${good}`,
  ];
  for (const each of bad) assert.equal(signatureOf(each), null, JSON.stringify(each));
  assert.equal(signatureOf(good), good);
  assert.equal(signatureOf(`${good}\r\n`), good);
  assert.equal(signerOf(text, `${'A'.repeat(86)}==`, [ours]), null);
  const many = `${text}${'\n# northstate-signature: '.repeat(40_000)}`;
  const began = process.cpuUsage().user;
  assert.equal(signerOf(many, null, [ours]), null);
  assert.ok(process.cpuUsage().user - began < 1_000_000);
});
