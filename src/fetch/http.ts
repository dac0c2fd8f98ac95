// One exchange with a server at a time: connection, redirects, the bounds on all of it. HTTP/1.1 by node:https (RFC 9110).
import { readFile } from 'node:fs/promises';
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { messageOf } from '../../state/errno.ts';
import { FetchError, shown } from './fetch-error.ts';
import type { FetchSettings } from './fetch-settings.ts';

export interface Exchange {
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** To be read to its end, or destroyed. */
  readonly body: IncomingMessage;
}

export interface Http {
  /**
   * GET. Gives what answered, with any status but a redirect. Rejects with FetchError, or with the signal's reason; what
   * breaks while the body is read comes out of it.
   */
  get(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Exchange>;
  /** Resolves when so many bytes more may have come. */
  paid(bytes: number, signal: AbortSignal): Promise<void>;
  /** ms before a second try of what failed; doubled for each further one. */
  readonly firstPause: number;
  close(): void;
}

const mostRedirects = 5;
/** Requests at once, over all downloads. */
export const mostConnections = 4;

/** Opens nothing before the first request. */
export function createHttp(settings: FetchSettings, { firstPause = 500 } = {}): Http {
  let agents: Promise<{ readonly http: http.Agent; readonly https: https.Agent }> | null = null;
  const pay = createMeter(settings.rate);

  async function openAgents() {
    const { proxy, noProxy } = settings;
    const [ca, cert, key] = await Promise.all([settings.ca, settings.cert, settings.key].map(readPem));
    const proxyEnv =
      proxy === null ? undefined : { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: noProxy.join(',') };
    const common = { keepAlive: true, maxSockets: mostConnections, scheduling: 'fifo', proxyEnv } as const;
    return { http: new http.Agent(common), https: new https.Agent({ ...common, ca, cert, key }) };
  }

  async function exchange(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Exchange> {
    // A file that cannot be read now may be there later.
    agents ??= openAgents().catch((error: unknown) => {
      agents = null;
      throw new FetchError('again', messageOf(error), { cause: error });
    });
    const { [url.protocol === 'https:' ? 'https' : 'http']: agent } = await agents;
    const options: RequestOptions = {
      agent,
      signal,
      timeout: settings.stall,
      maxHeaderSize: 16 * 1024,
      headers: { 'accept-encoding': 'identity', 'user-agent': 'northstate', ...headers },
    };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request = (url.protocol === 'https:' ? https : http).get(url, options, resolve);
    request.on('timeout', () => request.destroy(new Error(`nothing came for ${settings.stall / 1000} s`)));
    request.on('error', reject);
    try {
      const body = await promise;
      // It may break while nobody reads: whoever reads is told.
      body.on('error', () => undefined);
      return { url, status: body.statusCode ?? 0, headers: body.headers, body };
    } catch (error) {
      signal.throwIfAborted();
      throw new FetchError('again', `${shown(url)}: ${messageOf(error)}`, { cause: error });
    }
  }

  return {
    async get(from, headers, signal) {
      let url = from;
      for (let redirects = 0; redirects <= mostRedirects; redirects++) {
        const answer = await exchange(url, headers, signal);
        if (![301, 302, 303, 307, 308].includes(answer.status)) return answer;
        answer.body.destroy();
        url = redirected(url, answer.headers.location);
      }
      throw new FetchError('again', `${shown(from)}: more than ${mostRedirects} redirects`);
    },
    paid: pay,
    firstPause,
    close() {
      agents?.then(
        (both) => {
          both.http.destroy();
          both.https.destroy();
        },
        () => undefined,
      );
    },
  };
}

async function readPem(path: string | null): Promise<Buffer | undefined> {
  return path === null ? undefined : await readFile(path);
}

function redirected(from: URL, location: string | undefined): URL {
  const to = URL.parse(location ?? '', from.href);
  if (location === undefined || to === null) throw new FetchError('again', `${shown(from)}: a redirect to nowhere`);
  const isSafe = to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:');
  if (isSafe) return to;
  throw new FetchError('again', `${shown(from)}: a redirect from ${from.protocol} to ${to.protocol} is not followed`);
}

/** Gives what waits until bytes that have come are within the rate (bytes a second). */
function createMeter(rate: number | null): Http['paid'] {
  let free = 0;
  return async (bytes, signal) => {
    if (rate === null) return;
    const now = performance.now();
    free = Math.max(free, now) + (bytes / rate) * 1000;
    const wait = free - now;
    if (wait < 1) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, wait);
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  };
}
