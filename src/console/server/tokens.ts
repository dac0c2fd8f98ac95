// Tokens: what one connection gives to another one as a proof of who asked for it.
//
//   token = 8 bytes, seconds of the runtime's own clock, big-endian | 32 bytes, HMAC-SHA256 (RFC 2104)
//
// The key outlives the reconciler and nothing else: no token of an earlier runtime is worth anything.
import { createHmac, timingSafeEqual } from 'node:crypto';

const timeSize = 8;

export type Verification = 'Ok' | 'Invalid' | 'Expired' | 'Future';

export interface Tokens {
  /** A token of `user`, a connection's name, for `target`, with what both know; base64. */
  create(user: string, target: string, shared: Uint8Array): string;
  /** What a token is worth that `target`, a connection's name, was given as `user`'s; `validity` is in ms. */
  verify(
    token: Uint8Array,
    given: { user: string; target: string; shared: Uint8Array },
    validity: number,
  ): Verification;
}

/** `now`: ms since the runtime's start, of a clock that nobody can set. */
export function createTokens(key: Uint8Array, now: () => number): Tokens {
  const seconds = () => BigInt(Math.floor(now() / 1000));

  /** The texts are told apart by their lengths: `ab` and `c` are not `a` and `bc`. */
  function authenticate(time: Uint8Array, parts: readonly Uint8Array[]): Buffer {
    const hmac = createHmac('sha256', key).update(time);
    for (const part of parts) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64BE(BigInt(part.length));
      hmac.update(length).update(part);
    }
    return hmac.digest();
  }

  return {
    create(user, target, shared) {
      const time = Buffer.alloc(timeSize);
      time.writeBigUInt64BE(seconds());
      return Buffer.concat([time, authenticate(time, [Buffer.from(user), Buffer.from(target), shared])]).toString(
        'base64',
      );
    },
    verify(token, { user, target, shared }, validity) {
      const time = Buffer.from(token.subarray(0, timeSize));
      const age = seconds() - time.readBigUInt64BE();
      if (age < 0n) return 'Future';
      if (age > BigInt(Math.floor(validity / 1000))) return 'Expired';
      const expected = authenticate(time, [Buffer.from(user), Buffer.from(target), shared]);
      return timingSafeEqual(expected, token.subarray(timeSize)) ? 'Ok' : 'Invalid';
    },
  };
}
