// Reading from an HTTP server that may be far away: a broken connection is taken up where it broke.
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

/** Tries without a byte of progress between them. */
const mostTries = 5;
/** ms of silence that end a try. */
const patience = 5000;

/** A whole small file; throws when it is larger than `limit` bytes. */
export async function fetchSmall(url: string, limit: number): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(30_000) });
  if (!response.ok || response.body === null) throw new Error(`GET ${url}: ${response.status}`);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > limit) throw new Error(`GET ${url}: more than ${limit} bytes`);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

/**
 * The bytes of a file of a known size and SHA-256 (hex), piece by piece; what was read is not asked for again (RFC 9110, Range).
 * The last piece comes only when the whole is what it should be: whoever stores the stream never has a wrong one complete.
 */
export async function* download(url: string, size: number, sha256: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let at = 0;
  let held: Buffer | null = null;
  for (let tries = 0; at < size; tries++) {
    const before = at;
    try {
      for await (const piece of bytesFrom(url, at)) {
        if (at + piece.length > size) throw new WrongFile(`${url} is longer than ${size} bytes`);
        hash.update(piece);
        at += piece.length;
        if (held !== null) yield held;
        held = piece;
      }
      if (at === before) throw new Error('the server sent nothing');
    } catch (error) {
      if (error instanceof WrongFile || (at === before && tries >= mostTries)) throw error;
      if (at > before) tries = 0;
      await delay(100 * 2 ** tries);
    }
  }
  if (hash.digest('hex') !== sha256) throw new WrongFile(`${url} is not the file that the bundle names`);
  if (held !== null) yield held;
}

/** The file on the server is not the one that is wanted: no other try will help. */
class WrongFile extends Error {}

async function* bytesFrom(url: string, offset: number): AsyncGenerator<Buffer> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`GET ${url}: nothing came for ${patience} ms`)), patience);
  try {
    const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const response = await fetch(url, { headers, signal: silence.signal });
    if (response.status === 404 || response.status === 416) throw new WrongFile(`GET ${url}: ${response.status}`);
    if (!response.ok || response.body === null) throw new Error(`GET ${url}: ${response.status}`);
    // A server that knows no ranges begins anew.
    let skip = response.status === 206 ? 0 : offset;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      timer.refresh();
      const piece = Buffer.from(chunk).subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - piece.length;
      if (piece.length > 0) yield piece;
    }
  } finally {
    clearTimeout(timer);
  }
}
