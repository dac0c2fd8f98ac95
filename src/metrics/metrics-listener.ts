// Where metrics are scraped: one path of HTTP, on a unix socket or the loopback. The launcher keeps the socket, so that a
// scrape while the reconciler sleeps is answered by the one that it wakes.
import { rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseAddress } from '../console/protocol/address.ts';
import { descriptorOf, listen } from '../console/server/listening.ts';
import type { ListenerKeeper } from '../console/server/entrance.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Log } from '../logs/log.ts';
import { contentTypes, type Form } from './exposition.ts';

export interface MetricsListener {
  /** Of the listening socket. */
  readonly descriptor: number;
  readonly isFile: boolean;
  close(): Promise<void>;
}

export interface MetricsListenerOptions {
  readonly at: NonNullable<Configuration['metrics']>;
  readonly keeper: ListenerKeeper;
  /** What is measured now. */
  readonly render: () => Promise<Readonly<Record<Form, string>>>;
  /** Says that something is under way that must not be interrupted; gives the function that says that it is over. */
  readonly hold: () => () => void;
  readonly log: Log;
}

/** Scrapers at once, and ms that one may take to ask. */
const most = 16;
const patience = 10_000;
const path = '/metrics';

/** Listens. Rejects when that cannot be (listening.ts). */
export async function openMetricsListener(options: MetricsListenerOptions): Promise<MetricsListener> {
  const { at, keeper, log } = options;
  const { createServer } = await import('node:http');
  /** Those who ask at once are told the same. */
  let rendering: Promise<Readonly<Record<Form, string>>> | null = null;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url, headers } = request;
    const isAsked = url === path || url?.startsWith(`${path}?`) === true;
    response.setHeader('connection', 'close');
    if (!isAsked || (method !== 'GET' && method !== 'HEAD')) {
      response.writeHead(isAsked ? 405 : 404, { 'content-type': 'text/plain' }).end(`metrics are at ${path}\n`);
      return;
    }
    const release = options.hold();
    try {
      rendering ??= options.render().finally(() => (rendering = null));
      const form: Form = headers.accept?.includes('application/openmetrics-text') ? 'openmetrics' : 'prometheus';
      const text = (await rendering)[form];
      response.writeHead(200, { 'content-type': contentTypes[form] }).end(method === 'HEAD' ? '' : text);
    } finally {
      release();
    }
  }

  const http = createServer({ requestTimeout: patience, headersTimeout: patience }, (request, response) => {
    answer(request, response).catch((err: unknown) => {
      log.error({ err }, 'metrics cannot be told');
      response.destroy();
    });
  });
  const name = `metrics ${at.listen}`;
  const inherited = keeper.kept.get(name) ?? null;
  const server = await listen(
    { listen: at.listen, ...at.file, tls: null, inherited, backlog: most, handshakeTimeout: patience },
    (socket) => {
      socket.allowHalfOpen = false;
      http.emit('connection', socket);
    },
  );
  server.maxConnections = most;
  if (inherited === null) await keeper.keep(name, descriptorOf(server));
  const address = parseAddress(at.listen);
  return {
    descriptor: descriptorOf(server),
    isFile: address.kind === 'unix',
    async close() {
      http.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      if (address.kind === 'unix') rmSync(address.path, { force: true });
    },
  };
}
