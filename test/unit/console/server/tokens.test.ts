import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTokens } from '../../../../src/console/server/tokens.ts';

const key = Buffer.alloc(32, 7);
const shared = Buffer.from('shared');
const validity = 60_000;

function made(at: number): Buffer {
  return Buffer.from(createTokens(key, () => at).create('a', 'b', shared), 'base64');
}

function verified(token: Buffer, at: number, given = {}, by = key): string {
  return createTokens(by, () => at).verify(token, { user: 'a', target: 'b', shared, ...given }, validity);
}

test('a token is 40 bytes, and begins with the seconds of the clock', () => {
  const token = made(4_294_967_296_999);
  assert.equal(token.length, 40);
  assert.equal(token.readBigUInt64BE(), 4_294_967_296n);
});

test('a token is good from its second on until its validity is over', () => {
  const token = made(100_000);
  assert.deepEqual(
    [99_999, 100_000, 160_999, 161_000].map((at) => verified(token, at)),
    ['Future', 'Ok', 'Ok', 'Expired'],
  );
});

test('time is told before anything else is looked at', () => {
  assert.equal(verified(Buffer.alloc(40, 0xff), 0), 'Future');
  assert.equal(verified(Buffer.alloc(40), 61_000), 'Expired');
  assert.equal(verified(Buffer.alloc(40), 60_000), 'Invalid');
});

test('a token of another user, for another target, with something else shared, under another key or changed is invalid', () => {
  const token = made(0);
  assert.equal(verified(token, 0), 'Ok');
  for (const given of [{ user: 'x' }, { target: 'x' }, { shared: Buffer.from('x') }]) {
    assert.equal(verified(token, 0, given), 'Invalid');
  }
  assert.equal(verified(token, 0, {}, Buffer.alloc(32)), 'Invalid');
  for (let at = 8; at < token.length; at += 1) {
    const changed = Buffer.from(token);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    assert.equal(verified(changed, 0), 'Invalid');
  }
});

test('what stands in one text cannot move to the next', () => {
  const token = Buffer.from(createTokens(key, () => 0).create('ab', 'c', shared), 'base64');
  assert.equal(verified(token, 0, { user: 'a', target: 'bc' }), 'Invalid');
});
