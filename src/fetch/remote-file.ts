// A file on a server, read by ranges (RFC 9110, section 14), or from its start where the server has none. What breaks is asked
// for again from where it broke, so often and no more; a file that is another one meanwhile is noticed.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../state/errno.ts';
import { boundaryOf, mostBetween, stretchesOf, type Stretch } from './byte-ranges.ts';
import { FetchError, shown } from './fetch-error.ts';
import type { Exchange, Http } from './http.ts';
import { inside, outside, type Range } from './ranges.ts';

export interface RemoteFile {
  /** For people. */
  readonly name: string;
  /** Bytes, known before the first is taken. */
  readonly size: number;
  /** Which file it is, as the server says it (a strong ETag, else Last-Modified); null = it does not. */
  readonly validator: string | null;
  /** Whether the server gives parts of it. */
  readonly ranges: boolean;
  /** The end of the file, as it came with the first answer; empty where the server gives no ranges. */
  readonly tail: Buffer;
  /**
   * Exactly the bytes from `from` to before `to`, as they come. Rejects with FetchError when they do not, after several tries
   * without a byte; `changed` when the file is not the one that was opened.
   */
  read(from: number, to: number): AsyncGenerator<Buffer>;
  /**
   * Bytes of several ranges, in order and without overlap, with one request, as and in which order the server sends them: no byte
   * twice, and not all of them where the server does not give several ranges at once. Rejects as `read` does.
   */
  readSeveral(ranges: readonly Range[]): AsyncGenerator<Stretch>;
  /** Bytes of bodies that have come so far, and requests that were made. */
  readonly cost: { readonly bytes: number; readonly requests: number };
  /** Ends what is under way. */
  close(): void;
}

/** Tries in a row that give nothing. */
const mostTries = 5;
/** ms that a server may ask us to wait in here; what asks for more is tried again by whoever wanted the file. */
const longestPause = 60_000;

/** Told, for a person, what went wrong last and when it is tried again; null: it goes on. */
export type TellWaits = (why: string | null) => void;

/**
 * Opens a file with a request for its last `tail` bytes; `signal` ends whatever is read of it, too. Rejects with FetchError when
 * there is none, or when its size is not known.
 */
export async function openRemoteFile(
  http: Http,
  url: URL,
  tail: number,
  signal: AbortSignal,
  tellWaits: TellWaits = () => undefined,
): Promise<RemoteFile> {
  const cost = { bytes: 0, requests: 0 };
  const pauses = { firstPause: http.firstPause, signal, tell: tellWaits };
  const first = await persistently(pauses, () => ask(`bytes=-${tail}`, null));
  const answer = first.exchange;
  const { size, from } = first;
  const validator = validatorOf(answer.headers);
  const ranges = answer.status === 206;
  /** The whole file, which a server without ranges has begun to send. */
  let whole: Exchange | null = ranges ? null : answer;
  const end = ranges ? await readTail() : Buffer.alloc(0);

  async function readTail(): Promise<Buffer> {
    try {
      return await take(answer, size - from);
    } catch (error) {
      signal.throwIfAborted();
      // Most servers keep what they say; one that broke off here is asked again for what is missing of it.
      if (!(error instanceof FetchError) || error.fault !== 'again') throw error;
      const parts: Buffer[] = [];
      for await (const chunk of read(from, size)) parts.push(chunk);
      return Buffer.concat(parts);
    }
  }

  async function ask(range: string | null, condition: string | null): Promise<Answer> {
    cost.requests += 1;
    const headers = { ...(range && { range }), ...(range && condition && { 'if-range': condition }) };
    return judged(await http.get(url, headers, signal));
  }

  async function take(exchange: Exchange, length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const chunk of bodyOf(exchange, length)) parts.push(chunk);
    return Buffer.concat(parts);
  }

  /** The first `length` bytes of a body: one that is longer is cut off, one that is shorter is an error. */
  async function* bodyOf(exchange: Exchange, length: number): AsyncGenerator<Buffer> {
    let left = length;
    for await (const chunk of upTo(exchange, length)) {
      left -= chunk.length;
      yield chunk;
    }
    if (left > 0) throw new FetchError('again', `${shown(exchange.url)}: the answer ended ${left} bytes too early`);
  }

  async function* upTo({ body, url: at }: Exchange, length: number): AsyncGenerator<Buffer> {
    let left = length;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        cost.bytes += chunk.length;
        await http.paid(chunk.length, signal);
        const part = chunk.subarray(0, left);
        left -= part.length;
        yield part;
        if (left === 0) break;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof FetchError) throw error;
      throw new FetchError('again', `${shown(at)}: ${messageOf(error)}`, { cause: error });
    } finally {
      // A connection whose answer was read to its end is used again.
      if (!body.complete) body.destroy();
    }
  }

  /** Opens the stretch from `at`, with the bytes in front of it that a server without ranges sends as well. */
  async function open(at: number, to: number): Promise<{ readonly exchange: Exchange; readonly skip: number }> {
    if (whole !== null) {
      const exchange = whole;
      whole = null;
      return { exchange, skip: at };
    }
    const {
      exchange,
      size: now,
      from: start,
    } = ranges ? await ask(`bytes=${at}-${to - 1}`, validator) : await ask(null, null);
    const isSame = now === size && validatorOf(exchange.headers) === validator && (exchange.status === 206) === ranges;
    if (isSame && start === (ranges ? at : 0)) return { exchange, skip: at - start };
    exchange.body.destroy();
    if (!isSame) throw new FetchError('changed', `${shown(url)}: the file changed while it was fetched`);
    throw new FetchError('again', `${shown(url)}: asked for byte ${at}, the server answered from ${start}`);
  }

  async function* read(first: number, to: number): AsyncGenerator<Buffer> {
    let at = first;
    for (let tries = 0; at < to; tries++) {
      try {
        const { exchange, skip } = await open(at, to);
        let passed = skip;
        for await (const chunk of bodyOf(exchange, skip + to - at)) {
          const part = chunk.subarray(Math.min(passed, chunk.length));
          passed -= chunk.length - part.length;
          if (part.length === 0) continue;
          at += part.length;
          if (tries > 0) tellWaits(null);
          tries = 0;
          yield part;
        }
      } catch (error) {
        signal.throwIfAborted();
        await pauseAfter(error, tries, pauses);
      }
    }
  }

  /** Null where the server gives one range at a time. */
  async function openSeveral(asked: readonly Range[]): Promise<AsyncGenerator<Stretch> | null> {
    cost.requests += 1;
    const range = `bytes=${asked.map(({ from: first, to }) => `${first}-${to - 1}`).join(',')}`;
    const exchange = await http.get(url, { range, ...(validator && { 'if-range': validator }) }, signal);
    if (exchange.status !== 206) judged(exchange);
    const boundary = exchange.status === 206 ? boundaryOf(exchange.headers['content-type']) : null;
    if (boundary === null || validatorOf(exchange.headers) !== validator) {
      exchange.body.destroy();
      return null;
    }
    // One that joins ranges sends what lies between them as well.
    const most = asked.reduce((sum, { from: first, to }) => sum + 2 * (to - first) + mostBetween, mostBetween);
    return stretchesOf(upTo(exchange, most), boundary, { name: shown(url), size });
  }

  async function* readSeveral(asked: readonly Range[]): AsyncGenerator<Stretch> {
    let left = asked;
    for (let tries = 0; left.length > 0; tries++) {
      try {
        const answered = await openSeveral(left);
        if (answered === null) return;
        for await (const { at, data } of answered) {
          const came = left.flatMap((range) => inside(range, { from: at, to: at + data.length }));
          left = left.flatMap((range) => outside(range.from, range.to, came));
          if (came.length > 0 && tries > 0) tellWaits(null);
          if (came.length > 0) tries = 0;
          for (const part of came) yield { at: part.from, data: data.subarray(part.from - at, part.to - at) };
        }
        return;
      } catch (error) {
        signal.throwIfAborted();
        // Twice in vain: the ranges are asked for one by one, which has tries of its own.
        if (error instanceof FetchError && (error.fault === 'final' || (error.fault === 'again' && tries > 0))) return;
        await pauseAfter(error, tries, pauses);
      }
    }
  }

  return {
    name: shown(url),
    size,
    validator,
    ranges,
    tail: end,
    read,
    readSeveral,
    cost,
    close: () => void whole?.body.destroy(),
  };
}

interface Answer {
  readonly exchange: Exchange;
  /** Of the whole file. */
  readonly size: number;
  /** Where the body begins in it. */
  readonly from: number;
}

/** An answer that holds bytes of the file. Throws FetchError for any other. */
function judged(exchange: Exchange): Answer {
  try {
    return { exchange, ...placeOf(exchange) };
  } catch (error) {
    exchange.body.destroy();
    throw error;
  }
}

function placeOf({ url, status, headers }: Exchange): { readonly size: number; readonly from: number } {
  const name = shown(url);
  const coding = headers['content-encoding'] ?? 'identity';
  if (coding !== 'identity') throw new FetchError('final', `${name}: the server sends it as ${printable(coding)}`);
  if (status === 206) {
    const range = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers['content-range'] ?? '');
    const [from, to, size] = [1, 2, 3].map((group) => Number(range?.[group] ?? NaN)) as [number, number, number];
    if (from <= to && to < size) return { size, from };
    throw new FetchError('final', `${name}: the server gives a part and does not say of what (Content-Range)`);
  }
  if (status === 200) {
    const length = headers['content-length'] ?? '';
    if (/^\d{1,15}$/.test(length)) return { size: Number(length), from: 0 };
    throw new FetchError('final', `${name}: the server does not say how long the file is (Content-Length)`);
  }
  const retryAfter = retryAfterOf(headers['retry-after']);
  const text = statusText(status);
  const isFinal = status >= 400 && status < 500 && status !== 408 && status !== 425 && status !== 429;
  throw new FetchError(isFinal ? 'final' : 'again', `${name}: the server answered ${text}`, { retryAfter });
}

function statusText(status: number): string {
  const known: Readonly<Record<number, string>> = {
    401: 'needs a login',
    403: 'forbidden',
    404: 'not found',
    410: 'gone',
    416: 'no such range',
    429: 'too many requests',
    500: 'internal error',
    502: 'bad gateway',
    503: 'not available',
    504: 'gateway timed out',
  };
  const words = known[status];
  return words === undefined ? String(status) : `${status} (${words})`;
}

/** ms, from seconds or a date (RFC 9110, section 10.2.3); null = not given, or not readable. */
function retryAfterOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}

/** A weak ETag does not say that the bytes are the same (RFC 9110, section 8.8.1). */
function validatorOf(headers: Exchange['headers']): string | null {
  const { etag } = headers;
  if (etag !== undefined && !etag.startsWith('W/')) return etag;
  return headers['last-modified'] ?? null;
}

/** How it is waited before another try. */
interface Pauses {
  /** ms */
  readonly firstPause: number;
  readonly signal: AbortSignal;
  readonly tell: TellWaits;
}

async function persistently<T>(pauses: Pauses, task: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      const done = await task();
      if (tries > 0) pauses.tell(null);
      return done;
    } catch (error) {
      pauses.signal.throwIfAborted();
      await pauseAfter(error, tries, pauses);
    }
  }
}

/** Waits before another try, by ourselves or as long as the server asks for; throws the error when there is to be none. */
async function pauseAfter(error: unknown, tries: number, { firstPause, signal, tell }: Pauses): Promise<void> {
  if (!(error instanceof FetchError) || error.fault !== 'again' || tries + 1 >= mostTries) throw error;
  const pause = error.retryAfter ?? firstPause * 2 ** tries;
  if (pause > longestPause) throw error;
  const next = `try ${tries + 2} of ${mostTries}`;
  tell(`${error.message} (${next} at ${new Date(Date.now() + pause).toISOString()})`);
  await sleep(pause, undefined, { signal });
  tell(`${error.message} (${next} is under way)`);
}

function printable(text: string): string {
  return text.slice(0, 40).replace(/[^\x20-\x7e]/g, '?');
}
