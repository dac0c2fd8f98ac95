// Where metrics are scraped: one path of HTTP, on a unix socket or the loopback. The launcher keeps the socket, so that a
// scrape while the reconciler sleeps is answered by the one that it wakes.
import { rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { parseAddress } from '../console/protocol/address.ts';
import { descriptorOf, listen, restAt } from '../console/server/listening.ts';
import type { ListenerKeeper } from '../console/server/entrance.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Log } from '../logs/log.ts';
import { contentTypes, type Form } from './exposition.ts';

export interface MetricsListener {
  /** Of the listening socket. */
  readonly descriptor: number;
  readonly isFile: boolean;
  /** Accepts nobody until the function that it gives is called (listening.ts). */
  rest(): () => void;
  /** How many scrapers are connected. */
  unanswered(): number;
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
  /** ms that a scraper may take to ask and to read the answer; 10 s when left out. */
  readonly patience?: number;
}

/** Scrapers at once. */
const most = 16;
/** ms for which whoever asks is told the same: one who asks without a pause takes no more of the processor than that. */
const fresh = 200;
const path = '/metrics';

/** Listens. Rejects when that cannot be (listening.ts). */
export async function openMetricsListener(options: MetricsListenerOptions): Promise<MetricsListener> {
  const { at, keeper, log, patience = 10_000 } = options;
  const { createServer } = await import('node:http');
  const connected = new Set<Socket>();
  let rendered: { readonly at: number; readonly text: Promise<Readonly<Record<Form, string>>> } | null = null;

  function text(): Promise<Readonly<Record<Form, string>>> {
    const now = performance.now();
    if (rendered === null || now - rendered.at > fresh) {
      const next = { at: now, text: options.render() };
      next.text.catch(() => {
        if (rendered === next) rendered = null;
      });
      rendered = next;
    }
    return rendered.text;
  }

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
      const form: Form = headers.accept?.includes('application/openmetrics-text') ? 'openmetrics' : 'prometheus';
      const body = (await text())[form];
      response.writeHead(200, { 'content-type': contentTypes[form] }).end(method === 'HEAD' ? '' : body);
    } finally {
      release();
    }
  }

  const http = createServer((request, response) => {
    answer(request, response).catch((err: unknown) => {
      log.error({ err }, 'metrics cannot be told');
      response.destroy();
    });
  });
  http.maxRequestsPerSocket = 1;
  const name = `metrics ${at.listen}`;
  const inherited = keeper.kept.get(name) ?? null;
  const server = await listen(
    { listen: at.listen, ...at.file, tls: null, inherited, backlog: most, handshakeTimeout: patience },
    (socket) => {
      socket.allowHalfOpen = false;
      connected.add(socket);
      // Its own bounds hold for a server that listens, and for asking alone: who reads nothing would hold a place as well.
      const late = setTimeout(() => socket.destroy(), patience);
      socket.on('close', () => {
        clearTimeout(late);
        connected.delete(socket);
      });
      http.emit('connection', socket);
    },
  );
  server.maxConnections = most;
  if (inherited === null) await keeper.keep(name, descriptorOf(server));
  const address = parseAddress(at.listen);
  return {
    // Another one after a rest.
    get descriptor() {
      return descriptorOf(server);
    },
    isFile: address.kind === 'unix',
    rest: () => restAt(server, most),
    unanswered: () => connected.size,
    async close() {
      for (const socket of connected) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      if (address.kind === 'unix') rmSync(address.path, { force: true });
    },
  };
}
